#!/usr/bin/env bash
# Builds a bad host from real parts, in namespaces of its own, and has `respgate doctor` look at it: it finds what is wrong, its
# fixes put that right one by one, and a relay records that nothing is sent to Redis that could change anything.
#
# It needs root, util-linux, iproute2, openssl, python3, redis-server and redis-cli. RESPGATE names another respgate than
# target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

for tool in unshare setpriv ip openssl python3 redis-server redis-cli; do
    command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
done
if [[ -z ${RESPGATE:-} ]]; then
    cargo build --locked --quiet
    RESPGATE=$PWD/target/debug/respgate
fi
stage=$(mktemp -d)
trap 'rm -rf -- "$stage"' EXIT
chmod 711 "$stage"
unshare --net --mount --pid --fork --kill-child --mount-proc python3 tests/doctor/play.py "$RESPGATE" "$stage"
printf '\nAll is well, in %d s\n' "$SECONDS"
