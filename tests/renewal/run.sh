#!/usr/bin/env bash
# A year of a deployment in some minutes: the clock of respgate, its clients and its authority is set forward day by day,
# once with `respgate cert renew` every day and once without; and renewals that are killed at every step.
#
# It needs redis-server, openssl, Python, and Debian's packages faketime and strace, which root installs where they
# are missing. RESPGATE names another respgate than target/debug/respgate, which is built first; it has to be linked to
# glibc dynamically.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

main() {
    local tool missing=()
    for tool in redis-server openssl python3; do
        command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
    done
    for tool in faketime strace; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [[ ${#missing[@]} -eq 0 ]] || apt-get install -y -q "${missing[@]}"
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        RESPGATE=$PWD/target/debug/respgate
    fi
    stage=$(mktemp -d)
    trap 'rm -rf -- "$stage"' EXIT
    python3 -B tests/renewal/play.py --respgate "$RESPGATE" --stage "$stage" "$@"
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

main "$@"
