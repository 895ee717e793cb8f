#!/usr/bin/env bash
# script/bench adapter: the store beside bare LMDB on the same data (tests/bench/adapter.c).
set -euo pipefail
cd "$(dirname "$0")/../.."
records=10000000 rounds=3
while getopts n:r: option; do
    case $option in
    n) records=$OPTARG ;;
    r) rounds=$OPTARG ;;
    *) exit 2 ;;
    esac
done
script/bootstrap
cmake --preset release >/dev/null
cmake --build build/release --target bench_adapter >/dev/null
mkdir -p build/bench
raw=build/bench/adapter-$(date +%Y%m%d-%H%M%S).tsv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build/release/bin/bench_adapter "$work" "$records" "$rounds" >"$raw"
printf '%s, %s processors, %s records, %s rounds; raw lines in %s\n' "$(uname -m)" "$(nproc)" \
    "$records" "$rounds" "$raw"
awk -F'\t' '
    { v[$1] = v[$1] " " $2; unit[$1] = $3; if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 } }
    function sorted(text, a,   k, i, j, t) {
        k = split(text, a, " ")
        for (i = 2; i <= k; i++) for (j = i; j > 1 && a[j-1] + 0 > a[j] + 0; j--) {
            t = a[j]; a[j] = a[j-1]; a[j-1] = t }
        return k
    }
    function ratio(over, under,   a, b, k, i, r, low, high) {
        k = split(v[over], a, " "); split(v[under], b, " ")
        for (i = 1; i <= k; i++) { r = a[i] / b[i]; if (i == 1 || r < low) low = r; if (r > high) high = r }
        return sprintf("%.2f  (rounds %.2f to %.2f)", median[over] / median[under], low, high)
    }
    END {
        printf "%-22s %12s %12s %12s  %s\n", "", "min", "median", "max", ""
        for (i = 1; i <= n; i++) {
            k = sorted(v[order[i]], a)
            median[order[i]] = a[int((k + 1) / 2)]
            printf "%-22s %12.5g %12.5g %12.5g  %s\n", order[i], a[1], median[order[i]], a[k], unit[order[i]]
        }
        print "\nratios, this run"
        print "  sorted load: import / bare LMDB   " ratio("load.sorted.import", "load.sorted.bare")
        print "  random load: import / bare LMDB   " ratio("load.random.import", "load.random.bare")
        print "  by key: get / bare LMDB           " ratio("read.key.get", "read.key.bare")
        print "  by key: get / bare, by index      " ratio("read.key.get", "read.index.bare")
        print "  by index: find / bare LMDB        " ratio("read.index.find", "read.index.bare")
    }' "$raw"
