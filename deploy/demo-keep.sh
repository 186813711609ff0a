#!/usr/bin/env bash
# The demo that stays: raises the lab, plays the outage on it, and leaves the lab, a `defib run` on the outage's own journal and a
# way to its dashboard up. `make demo-down` takes all of it away: everything that is started here counts among the lab's processes.
set -euo pipefail

bin=$1
port=9870
lab=/run/defib-lab
trap 'echo "the demo did not come up; what is left of it is taken away by: make demo-down" >&2' ERR

"$bin/defib-lab" up
"$bin/defib-lab" drill back-off --keep target/demo
# It goes on where the drill ended, with its story and what is used of its limits, and only says what it would do.
sed 's/^mode: act$/mode: observe/' "$lab/defib-drill.yaml" > "$lab/defib-demo.yaml"
setsid "$bin/defib-lab" exec ops -- "$(realpath "$bin/defib")" --config "$lab/defib-demo.yaml" run \
  > target/demo/defib-run.log 2>&1 < /dev/null &
run=$!
setsid "$bin/defib-lab" relay "$port" > target/demo/relay.log 2>&1 < /dev/null &
relay=$!
for _ in $(seq 60); do
  # Whoever else has the port would answer in its place.
  kill -0 "$run" 2> /dev/null || { cat target/demo/defib-run.log >&2; false; }
  kill -0 "$relay" 2> /dev/null || { cat target/demo/relay.log >&2; false; }
  if (exec 3<> "/dev/tcp/127.0.0.1/$port" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3) 2> /dev/null; then
    sudo=${SUDO_USER:+sudo }
    echo
    echo "DASHBOARD  http://127.0.0.1:$port/    (defib run in mode observe: it says what it would do)"
    echo "TO ACT     $("$bin/defib" --config "$lab/defib-demo.yaml" dashboard)    (once, within five minutes)"
    echo "BREAK      ${sudo}$bin/defib-lab break hang-etcd cp2    (and mend it: ${sudo}$bin/defib-lab heal)"
    echo "END        make demo-down"
    exit 0
  fi
  sleep 1
done
echo "the dashboard does not answer: see target/demo/relay.log and target/demo/defib-run.log" >&2
false
