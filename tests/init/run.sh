#!/usr/bin/env bash
# From a Redis that answers everybody to one that nobody but respgate reaches: what `respgate init` prints is pasted line by
# line, and nothing else. Old clients go on until the second step, and none is let in after it; `respgate doctor` has the
# last word. Prints how many lines and seconds it took.
#
#     run.sh [bare] [systemd]                    default: all
#
# It needs root, util-linux, iproute2, redis-server and redis-cli, and for systemd Debian's redis-server and systemd's
# tools, but no running systemd. RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

main() {
    local platform
    [[ $(id -u) -eq 0 ]] || { echo "it mounts, and runs processes as other users: run it as root" >&2; exit 1; }
    for tool in unshare setpriv ip redis-server redis-cli; do
        command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
    done
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        RESPGATE=$PWD/target/debug/respgate
    fi
    [[ $# -gt 0 ]] || set -- bare systemd
    for platform in "$@"; do
        stage=$(mktemp -d)
        trap 'rm -rf --one-file-system -- "$stage"' EXIT
        chmod 711 "$stage"
        unshare --net --mount --pid --fork --kill-child --mount-proc \
            tests/init/play.sh "$platform" "$stage" "$RESPGATE"
        rm -rf --one-file-system -- "$stage"
    done
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

main "$@"
