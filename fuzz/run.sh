#!/usr/bin/env bash
# Runs every fuzz target, or those named, for some seconds each: fuzz/run.sh [seconds [target…]]
# Needs the nightly toolchain and cargo-fuzz. Corpora stay in fuzz/corpus; an input that fails lands in fuzz/artifacts.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

seconds=${1:-300}
targets=("${@:2}")
[[ ${#targets[@]} -gt 0 ]] || mapfile -t targets < <(cargo +nightly fuzz list --fuzz-dir .)

for target in "${targets[@]}"; do
    printf '\n== %s\n' "$target"
    mkdir -p "corpus/$target"
    nice -n 10 cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -dict=acl.dict -print_final_stats=1
done
printf '\nNo finding in %d s each\n' "$seconds"
