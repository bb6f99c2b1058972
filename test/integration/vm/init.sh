#!/bin/sh
# The first process of the virtual machine: shows the host's files read-only below a layer in memory,
# runs the command that the host left in the out folder, and powers off.
# Kernel parameters: vm.modules=FOLDER vm.out=FOLDER (paths of the host) vm.limit=SECONDS
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev 2>/dev/null
for word in $($b cat /proc/cmdline); do
  case $word in vm.*=*) name=${word%%=*}; eval "${name#vm.}=\${word#*=}" ;; esac
done
# Whoever started the machine may have been killed.
($b sleep "$limit"; $b poweroff -f) &
$b stty -opost </dev/console 2>/dev/null

$b mount -t hostfs -o ro,/ none /lower
version=$($b uname -r)
$b mount --bind "/lower$modules" "/lib/modules/$version"
$b modprobe overlay
$b mount -t tmpfs -o size=90% memory /memory
$b mkdir /memory/upper /memory/work
r=/root
$b mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay $r
$b mount -t proc proc $r/proc
$b mount -t sysfs sys $r/sys
$b mount --bind /dev $r/dev
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs shm $r/dev/shm
$b mount -t tmpfs run $r/run
$b mkdir -p $r/run/lock $r/run/netns $r/run/vm "$r/lib/modules/$version"
$b mount --bind "/lower$modules" "$r/lib/modules/$version"
$b mount -t hostfs -o "$out" none $r/run/vm
# Legacy iptables calls it for the tables' modules.
[ -x $r/usr/sbin/modprobe ] || $b cp /bin/busybox $r/usr/sbin/modprobe

# A module of this kernel, which nothing loads by itself for netlink requests about IPv6.
$b modprobe ipv6
$b ip link set lo up
$b chroot $r /bin/sh /run/vm/command </dev/null
$b umount $r/run/vm
echo 0 >/proc/sys/kernel/printk
$b poweroff -f
