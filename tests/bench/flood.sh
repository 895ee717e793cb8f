#!/usr/bin/env bash
# script/bench flood: see there. Four client nodes of the sandbox's consumer, one service, and a fifth
# that asks one thing at a time and shows what others feel of it.
#
# The broker's capacity is what a closed loop gets through it (the peak): the best of IN_FLIGHT calls
# kept in flight, a quarter, four and 15 times as many. The
# flood offers FACTOR times that rate, in an open loop, of messages made beforehand. All of it runs on
# one machine: what the senders take makes the goodput a lower bound. Each asks for KEYS records: with
# one the broker itself is the bottleneck, with many the adapter. -i sets the broker's
# in_flight_per_service, -m the number of client nodes. With -a the senders have the first processor
# and the broker and the adapter all others, at the peak as in the flood.
set -euo pipefail
cd "$(dirname "$0")/../.."

rounds=5 seconds=3 in_flight=64 factor=10 nodes=4 limit= keys=1 apart=
while getopts n:s:f:c:i:k:m:a option; do
    case $option in
    n) rounds=$OPTARG ;;
    s) seconds=$OPTARG ;;
    f) factor=$OPTARG ;;
    c) in_flight=$OPTARG ;;
    i) limit=$OPTARG ;;
    k) keys=$OPTARG ;;
    m) nodes=$OPTARG ;;
    a) apart=yes ;;
    *) exit 2 ;;
    esac
done

script/bootstrap
cmake --preset release >/dev/null
cmake --build build/release --target yz yz-brokerd yz-adapterd bench_flood >/dev/null
bin=build/release/bin
mkdir -p build/bench
raw=build/bench/flood-$(date +%Y%m%d-%H%M%S).tsv
work=$(mktemp -d)
cleanup() {
    [ ! -e "$work/s/sandbox.json" ] || "$bin/yz" sandbox down "$work/s" >/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

"$bin/yz" sandbox up "$work/s" >/dev/null
sed -i 's/log_level: debug/log_level: warn/' "$work/s/broker/broker.yaml"
if [ -n "$limit" ]; then
    printf 'limits:\n  in_flight_per_service: %s\n' "$limit" >>"$work/s/broker/broker.yaml"
fi
broker=$(sed -n '/"broker"/,/}/s/.*"pid": \([0-9]*\).*/\1/p' "$work/s/sandbox.json")
kill -HUP "$broker"
"$bin/yz" data import --admin "$work/s/statistics/admin.sock" areas \
    tests/data/china-division/areas.csv >/dev/null

clients=("$work/s/client/client.yaml")
for i in $(seq 2 $((nodes + 1))); do
    home=$work/s/client$i
    "$bin/yz" node request --home "$home" --node "CN/GOV/WINDOW/@w$i" --role client \
        --subsystem window >/dev/null
    cp "$work/s/client/anchor.yzr" "$home/"
    sed "s,^node: .*,node: CN/GOV/WINDOW/@w$i," "$work/s/client/client.yaml" >"$home/client.yaml"
    "$bin/yz" node admit --home "$work/s/client/member" "$home/request.yzr" >/dev/null
    clients+=("$home/client.yaml")
done
"$bin/yz" directory publish --home "$work/s/operator" --admin "$work/s/broker/admin.sock" \
    --member-set "$work/s/client/member/member-set.yzr" >/dev/null

senders=()
if [ -n "$apart" ]; then
    last=$(($(nproc) - 1))
    adapter=$(sed -n '/"statistics"/{n;s/.*"pid": \([0-9]*\).*/\1/p}' "$work/s/sandbox.json")
    taskset -a -p -c "1-$last" "$broker" >/dev/null
    taskset -a -p -c "1-$last" "$adapter" >/dev/null
    senders=(taskset -c 0)
fi

list=$(sed -n "2,$((keys + 1))s/,.*//p" tests/data/china-division/areas.csv | paste -sd,)

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    "${senders[@]}" "$bin/bench_flood" "$seconds" "$in_flight" "$factor" CN/GOV/STATS/divisions/areas/v1 "$list" \
        "$broker" "${clients[@]}" >>"$raw"
done

printf '%s, %s processors, %s rounds of %s s, %s client nodes; raw lines in %s\n' "$(uname -m)" \
    "$(nproc)" "$rounds" "$seconds" "$nodes" "$raw"
printf 'flood: %s times the best peak offered\n' "$factor"
awk -F'\t' '
    { v[$1] = v[$1] " " $2; unit[$1] = $3; if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 } }
    function sorted(text, a,   k, i, j, t) {
        k = split(text, a, " ")
        for (i = 2; i <= k; i++) for (j = i; j > 1 && a[j-1] + 0 > a[j] + 0; j--) {
            t = a[j]; a[j] = a[j-1]; a[j-1] = t }
        return k
    }
    END {
        printf "%-44s %12s %12s %12s  %s\n", "", "min", "median", "max", ""
        for (i = 1; i <= n; i++) {
            k = sorted(v[order[i]], a)
            printf "%-44s %12.5g %12.5g %12.5g  %s\n", order[i], a[1], a[int((k + 1) / 2)], a[k], unit[order[i]]
        }
    }' "$raw"
