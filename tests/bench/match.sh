#!/usr/bin/env bash
# script/bench match: what a question with a budget costs (tests/bench/match.c).
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=3
while getopts r: option; do
    case $option in
    r) rounds=$OPTARG ;;
    *) exit 2 ;;
    esac
done
script/bootstrap
cmake --preset release >/dev/null
cmake --build build/release --target bench_match >/dev/null
mkdir -p build/bench
raw=build/bench/match-$(date +%Y%m%d-%H%M%S).tsv
work=$(mktemp -d -p build/bench)
trap 'rm -rf "$work"' EXIT
build/release/bin/bench_match "$work" "$rounds" >"$raw"
printf '%s, %s processors, %s rounds, on the disk of build/; raw lines in %s\n' "$(uname -m)" \
    "$(nproc)" "$rounds" "$raw"
sort -t $'\t' -k1,1 -k2,2g "$raw" | awk -F'\t' '
    function show() {
        printf "%-18s %12.5g %12.5g %12.5g  %s\n", name, v[1], v[int((k + 1) / 2)], v[k], unit
    }
    BEGIN { printf "%-18s %12s %12s %12s\n", "", "min", "median", "max" }
    $1 != name { if (k) show(); name = $1; unit = $3; k = 0 }
    { v[++k] = $2 }
    END { show() }'
