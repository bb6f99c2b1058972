#!/bin/sh
# Makes the images that deploy/Containerfile builds on, from packages of Debian and npm, for a machine that
# reaches no registry of images: base_images.sh PODMAN... Needs mmdebstrap and npm.
set -eu
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar" http://deb.debian.org/debian
"$@" import "$work/base.tar" docker.io/library/debian:bookworm-slim
npm install --silent --prefix "$work/npm" node@24 npm@11
mkdir "$work/context"
cp "$work/npm/node_modules/node/bin/node" "$work/context/node"
cp -r "$work/npm/node_modules/npm" "$work/context/npm"
# This machine may reach npm's registry through someone whom only its own authorities vouch for.
cp /etc/ssl/certs/ca-certificates.crt "$work/context/"
cat >"$work/context/Containerfile" <<'END'
FROM docker.io/library/debian:bookworm-slim
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
END
"$@" build --isolation=chroot --tag docker.io/library/node:24-bookworm-slim "$work/context"
