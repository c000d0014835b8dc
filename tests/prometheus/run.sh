#!/usr/bin/env bash
# Prometheus's own tools on what is made for them: the alerting rules and their tests, the names of the metrics, and Redis's
# metrics beside those of redis_exporter. The tools are unpacked below target/, not installed: that would start services.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly tools=$PWD/target/prometheus

main() {
    unpack prometheus promtool
    unpack prometheus-redis-exporter prometheus-redis-exporter
    "$tools/promtool" check rules deploy/prometheus/*.yml
    "$tools/promtool" test rules tests/prometheus/rules_test.yml
    check_runbooks
    PROMTOOL=$tools/promtool REDIS_EXPORTER=$tools/prometheus-redis-exporter \
        cargo test --locked --test it metrics::prometheus -- --ignored
    printf '\nAll passed in %d s\n' "$SECONDS"
}

# One program of a Debian package.
unpack() {
    local package=$1 program=$2 folder
    [[ -x $tools/$program ]] && return
    mkdir -p "$tools"
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -q "$package" && dpkg -x ./*.deb .)
    cp -- "$folder/usr/bin/$program" "$tools/"
    rm -rf -- "$folder"
}

# Each alert has a heading of its own to lead to, and each of these an alert.
check_runbooks() {
    local rules headings
    rules=$(sed -n 's/^ *- alert: //p' deploy/prometheus/*.yml | sort)
    headings=$(sed -n 's/^### \(Respgate[A-Z].*\|Redis[A-Z].*\)/\1/p' docs/operations.md | sort)
    diff <(printf '%s\n' "$rules") <(printf '%s\n' "$headings")
    diff <(sed -n 's/.*runbook: docs\/operations.md#//p' deploy/prometheus/*.yml | sort) <(printf '%s\n' "${rules,,}" | sort)
}

main "$@"
