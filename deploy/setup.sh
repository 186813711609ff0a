#!/usr/bin/env bash
# Installs the system packages that building defib and raising its lab need, where they are missing. As root it installs
# them; elsewhere with sudo; where neither works it names them and stops.
set -euo pipefail

for tool in cargo go; do
  command -v "$tool" > /dev/null || { echo "defib needs $tool: install Rust (rustup) and Go 1.25 or newer" >&2; exit 1; }
done

packages=(containerd runc containernetworking-plugins iproute2 nftables iputils-arping protobuf-compiler libprotobuf-dev gcc libc6-dev)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)" = installed ] || missing+=("$package")
done
# The dashboard is tested in a browser; where the system packages none, its test says so.
command -v chromium-headless-shell > /dev/null || command -v chromium > /dev/null || command -v google-chrome > /dev/null \
  || [ -z "$(apt-cache policy chromium-headless-shell 2> /dev/null)" ] || missing+=(chromium-headless-shell)
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get > /dev/null; then
  echo "these packages are missing, by their Debian names: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" = 0 ]; then
  as_root=()
elif command -v sudo > /dev/null; then
  as_root=(sudo)
else
  echo "these packages are missing, and only root can install them: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "== installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
# A service that starts by itself is of no use here: the lab runs a containerd a node.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
