#!/usr/bin/env bash
# From a Redis that answers everybody to one that nobody but respgate reaches: what `respgate init` prints is pasted line by
# line, and nothing else. Old clients go on until the second step, and none is let in after it; `respgate doctor` has the
# last word. Prints how many lines and seconds it took.
#
#     run.sh [bare] [systemd] [compose] [kubernetes]     default: all
#
# It needs root, util-linux, iproute2, redis-server and redis-cli; for systemd Debian's redis-server and systemd's
# tools, but no running systemd; for compose an engine as tests/compose/run.sh has it, and COMPOSE is another Compose; for
# Kubernetes what tests/kubernetes/run.sh does, which plays it. RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
. tests/compose/engine.sh

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
    export RESPGATE
    [[ $# -gt 0 ]] || set -- bare systemd compose kubernetes
    for platform in "$@"; do
        [[ $platform != kubernetes ]] || { tests/kubernetes/run.sh init; continue; }
        stage=$(mktemp -d)
        trap end_engine EXIT
        chmod 711 "$stage"
        [[ $platform != compose ]] || { install_engine; make_debian; }
        unshare --net --mount --pid --fork --kill-child --mount-proc \
            tests/init/play.sh "$platform" "$stage" "$RESPGATE" &
        played=$!
        wait "$played"
        clean_up_engine
    done
    trap - EXIT
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

main "$@"
