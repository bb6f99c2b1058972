#!/bin/sh
# What the kernel runs to load a module. With every question and answer of iptables about IPv4 it asks
# for bpfilter first, which Debian's build cannot load; finding that out takes six times as long.
case $* in *bpfilter) exit 1 ;; esac
exec /bin/busybox modprobe "$@"
