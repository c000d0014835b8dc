#!/usr/bin/env bash
# The manifests of deploy/kubernetes: held against Kubernetes' schemas, and played with processes. What kubelet does to
# a Pod is done here: volumes with their links, owners and modes, users, probes, and the order of start and stop.
#
#
#     run.sh [init]          `init`: the manifests that `respgate init` makes, with its certificates
#
# It needs root for mounts, a network and users of its own, redis-server and redis-cli, and no Kubernetes. RESPGATE
# names the respgate; else it is target/release/respgate or target/debug/respgate.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/kubernetes-venv kubernetes_validate=1.37.0
# The first that has sidecars without being asked for them, and the last that the schemas know.
readonly versions=(1.29 1.37)

main() {
    local tool version
    for tool in redis-server redis-cli unshare setpriv ip; do
        command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
    done
    [[ $(id -u) -eq 0 ]] || { echo "it mounts, and runs processes as other users: run it as root" >&2; exit 1; }
    respgate=$(find_respgate)
    make_venv
    stage=$(mktemp -d)
    trap 'rm -rf -- "$stage"' EXIT
    local manifests=deploy/kubernetes made=()
    if [[ ${1:-} == init ]]; then
        step "respgate init" "$respgate" init "$stage/gate" --for kubernetes --client shop=app --client ops=admin
        manifests=$stage/gate/deploy made=(--made "$stage/gate")
    fi
    for version in "${versions[@]}"; do
        step "The schemas of Kubernetes $version" \
            "$venv/bin/kubernetes-validate" --strict --kubernetes-version "$version" "$manifests"/*.yaml
    done
    unshare --mount --net sh -c 'ip link set lo up && exec "$@"' sh \
        "$venv/bin/python" -B tests/kubernetes/play.py --respgate "$respgate" --stage "$stage" "${made[@]}"
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

find_respgate() {
    local program
    for program in "${RESPGATE:-}" target/release/respgate target/debug/respgate; do
        [[ -x $program ]] && { realpath -- "$program"; return; }
    done
    echo "no respgate: cargo build, or RESPGATE=PATH" >&2
    return 1
}

make_venv() {
    "$venv/bin/python" -c "from importlib.metadata import version as v
assert v('kubernetes-validate') == '$kubernetes_validate'" 2>/dev/null && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "kubernetes-validate==$kubernetes_validate"
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

main "$@"
