#!/usr/bin/env bash
# script/bench evidence [-n ENTRIES] [-r ROUNDS] [-s SECONDS]: the evidence log (tests/bench/evidence.c).
# Rates and lone appends take ROUNDS rounds of SECONDS; the log that is audited and measured by its
# size has ENTRIES entries (default 10,000,000). On the disk of TMPDIR.
set -euo pipefail
cd "$(dirname "$0")/../.."
entries=10000000 rounds=5 seconds=4
while getopts n:r:s: option; do
    case $option in
    n) entries=$OPTARG ;;
    r) rounds=$OPTARG ;;
    s) seconds=$OPTARG ;;
    *) exit 2 ;;
    esac
done
script/bootstrap
cmake --preset release >/dev/null
cmake --build build/release --target bench_evidence yz >/dev/null
bin=build/release/bin
mkdir -p build/bench
raw=build/bench/evidence-$(date +%Y%m%d-%H%M%S).tsv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    "$bin/bench_evidence" rate "$work/rate" "$seconds" >>"$raw"
    rm -rf "$work/rate"
    "$bin/bench_evidence" lone "$work/lone" "$seconds" >>"$raw"
    rm -rf "$work/lone"
done
for size in $((entries / 100)) $((entries / 10)); do
    echo "$size entries with bodies" >&2
    "$bin/bench_evidence" size "$work/size" "$size" >>"$raw"
    rm -rf "$work/size"
done
echo "$entries entries to be audited" >&2
"$bin/bench_evidence" fill "$work/fill" "$entries" >"$work/filled"
vkey=$(sed -n 's/^vkey\t//p' "$work/filled")
du -sb "$work/fill/store" "$work/fill/publish" |
    awk -v n="$entries" '{ printf "fill.%s\t%.1f\tbytes an entry\n", NR == 1 ? "store" : "tiles", $1 / n }' >>"$raw"
from=$(date +%s%N)
"$bin/yz" evidence audit --vkey "$vkey" "$work/fill/publish/current" >&2
awk -v n="$entries" -v ns="$(($(date +%s%N) - from))" \
    'BEGIN { printf "audit.rate\t%.0f\tentries/s\n", n * 1e9 / ns }' >>"$raw"

printf '%s, %s processors, load %s, %s rounds of %s s; raw lines in %s\n' "$(uname -m)" "$(nproc)" \
    "$(cut -d' ' -f1 /proc/loadavg)" "$rounds" "$seconds" "$raw"
awk -F'\t' '
    { v[$1] = v[$1] " " $2; unit[$1] = $3; if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 } }
    END {
        printf "%-24s %12s %12s %12s\n", "", "min", "median", "max"
        for (i = 1; i <= n; i++) {
            k = split(v[order[i]], a, " ")
            for (x = 2; x <= k; x++) for (y = x; y > 1 && a[y-1] + 0 > a[y] + 0; y--) {
                t = a[y]; a[y] = a[y-1]; a[y-1] = t }
            printf "%-24s %12.5g %12.5g %12.5g  %s\n", order[i], a[1], a[int((k + 1) / 2)], a[k], unit[order[i]]
        }
    }' "$raw"
