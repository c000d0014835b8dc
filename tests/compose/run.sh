#!/usr/bin/env bash
# Builds the image and runs compose.yaml, with Debian's Docker Engine and Compose, and without a registry.
#
# The engine has a network, mounts and processes of its own, in namespaces: what it makes of interfaces, rules, mounts
# and containers is gone when it ends. It needs root, Rust, and a mirror of Debian; what else is missing is installed. A
# Debian root stands in for the images of the registry: it stays in target/compose, with the crates.
#
# The image is built for several minutes; IMAGE names one that `docker save` has written. COMPOSE is another Compose, such
# as "docker compose". Where no engine can be had, it says so and exits with 77.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/compose/venv check_jsonschema=0.39.0
readonly vendor=target/compose/vendor
. tests/compose/engine.sh

main() {
    install_missing
    step "The schema of Compose" check_schema
    stage=$(mktemp -d)
    trap end_engine EXIT
    trap 'exit 130' INT TERM
    step "What stands in for the images of a registry" make_bases
    unshare --net --mount --pid --fork --kill-child --mount-proc \
        tests/compose/play.sh "$stage" "$vendor" &
    played=$!
    wait "$played" || exit
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

install_missing() {
    local packages=()
    command -v openssl >/dev/null || packages+=(openssl)
    command -v redis-server >/dev/null || packages+=(redis-server)
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
    install_engine "${packages[@]}"
}

check_schema() {
    if ! "$venv/bin/python" -c "from importlib.metadata import version as v
assert v('check-jsonschema') == '$check_jsonschema'" 2>/dev/null; then
        rm -rf -- "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check "check-jsonschema==$check_jsonschema"
    fi
    "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
}

make_bases() {
    make_debian
    [[ -n ${IMAGE:-} ]] || cargo vendor --locked --quiet "$vendor" >/dev/null
    du -sh -- "$debian"
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

main "$@"
