#!/usr/bin/env bash
# Plays tunnels that take their time, in namespaces of their own: values of 512 MiB both ways and what memory that takes, 1,000
# applications, certificates that are renewed under load, a name with a dead address, and names in an empty root, as in the
# image. `run.sh SCENE ...` plays some of them.
#
# It needs root, util-linux, iproute2, openssl 3, python3 and redis-server. RESPGATE names another respgate than
# target/debug/respgate, STATIC one that is linked statically, as the image has it; both are built where they are not named.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

for tool in unshare ip openssl python3 redis-server; do
    command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
done
if [[ -z ${RESPGATE:-} ]]; then
    cargo build --locked --quiet
    RESPGATE=$PWD/target/debug/respgate
fi
if [[ -z ${STATIC:-} && ($# -eq 0 || " $* " == *" names "*) ]]; then
    host=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --quiet --bin respgate --target "$host"
    STATIC=$PWD/target/$host/debug/respgate
fi
stage=$(mktemp -d)
trap 'rm -rf -- "$stage"' EXIT
export PYTHONDONTWRITEBYTECODE=1
unshare --net --mount --pid --fork --kill-child --mount-proc \
    python3 tests/tunnel/play.py "$RESPGATE" "${STATIC:-}" "$stage" "$@"
printf '\nAll is well, in %d s\n' "$SECONDS"
