#!/usr/bin/env bash
# Whether the lab of real parts can be raised on this machine. Where it cannot, says why, and what works everywhere. With an
# argument that is the reason. Asked before anything is built: who learns only then that it was for nothing has waited minutes.
set -euo pipefail

why=${1:-}
namespaces=(unshare --mount --net true)
refused="may not make namespaces: is this a container without privileges?"
if [ -z "$why" ]; then
  if [ "$(uname -s)" != Linux ]; then
    why="it needs Linux, and this is $(uname -s)"
  elif [ "$(id -u)" = 0 ]; then
    "${namespaces[@]}" 2> /dev/null || why="this root $refused"
  elif ! command -v sudo > /dev/null; then
    why="it needs root for namespaces, cgroups and mounts, and there is no sudo"
  elif sudo -n true 2> /dev/null; then
    sudo -n "${namespaces[@]}" 2> /dev/null || why="the root that sudo gives $refused"
  elif [ ! -t 0 ]; then
    why="it needs root for namespaces, cgroups and mounts, and sudo does not give it without asking, but nobody can be asked here"
  else
    # The password is asked for now: after minutes of building nobody may sit there any more.
    echo "== the lab needs root for namespaces, cgroups and mounts: sudo asks whether it may" >&2
    if ! sudo true; then
      why="it needs root for namespaces, cgroups and mounts, and sudo does not give it"
    elif ! sudo "${namespaces[@]}" 2> /dev/null; then
      why="the root that sudo gives $refused"
    fi
  fi
fi
[ -n "$why" ] || exit 0
echo "the lab of real parts cannot be raised here: $why" >&2
echo "a modelled outage can be watched on any system, without root: make rehearse" >&2
exit 1
