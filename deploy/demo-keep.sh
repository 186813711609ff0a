#!/usr/bin/env bash
# The demo that stays: raises the lab, plays the outage on it, and leaves the lab, a `defib run` and a way to its dashboard up.
# `make demo-down` takes all of it away: everything that is started here counts among the lab's processes.
set -euo pipefail

bin=$1
port=9870
"$bin/defib-lab" up
"$bin/defib-lab" drill back-off --keep target/demo
mkdir -p target/demo
setsid "$bin/defib-lab" exec ops -- "$(realpath "$bin/defib")" --config /run/defib-lab/defib.yaml run \
  > target/demo/defib-run.log 2>&1 < /dev/null &
setsid "$bin/defib-lab" relay "$port" > target/demo/relay.log 2>&1 < /dev/null &
for _ in $(seq 60); do
  if (exec 3<> "/dev/tcp/127.0.0.1/$port" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3) 2> /dev/null; then
    echo
    echo "The dashboard: http://127.0.0.1:$port/    break something: $bin/defib-lab break hang-etcd cp2, then heal"
    echo "Take all of it away: make demo-down"
    exit 0
  fi
  sleep 1
done
echo "the dashboard does not answer: see target/demo/relay.log and target/demo/defib-run.log" >&2
exit 1
