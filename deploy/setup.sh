#!/usr/bin/env bash
# Installs the system packages that building defib and raising its lab need, where they are missing. As root it installs
# them; elsewhere with sudo; where neither works it names them and stops.
set -euo pipefail

command -v cargo > /dev/null || { echo "defib needs cargo: install Rust (rustup)" >&2; exit 1; }
command -v go > /dev/null || "$(dirname "$0")/lab-possible.sh" "its etcd and Kubernetes are built by Go 1.25 or newer, which is missing"

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
  "$(dirname "$0")/lab-possible.sh" "these packages are missing, by their Debian names: ${missing[*]}"
fi
if [ "$(id -u)" = 0 ]; then
  as_root=()
elif command -v sudo > /dev/null; then
  as_root=(sudo)
else
  "$(dirname "$0")/lab-possible.sh" "these packages are missing, and only root can install them: apt-get install ${missing[*]}"
fi
echo "== installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
# A service that starts by itself is of no use here: the lab runs a containerd a node.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
