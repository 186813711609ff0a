#!/usr/bin/env bash
# Whether the lab of real parts can be raised on this machine. Where it cannot, says why, and what works everywhere. With an
# argument that is the reason.
set -euo pipefail

why=${1:-}
if [ -z "$why" ]; then
  if [ "$(uname -s)" != Linux ]; then
    why="it needs Linux, and this is $(uname -s)"
  elif [ "$(id -u)" = 0 ]; then
    unshare --mount --net true 2> /dev/null || why="this root may not make namespaces: is this a container without privileges?"
  elif ! command -v sudo > /dev/null; then
    why="it needs root for namespaces, cgroups and mounts, and there is no sudo"
  fi
fi
[ -n "$why" ] || exit 0
echo "the lab of real parts cannot be raised here: $why" >&2
echo "a modelled outage can be watched on any system, without root: make rehearse" >&2
exit 1
