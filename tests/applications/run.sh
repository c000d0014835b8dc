#!/usr/bin/env bash
# Runs applications with the ACL lines of docs/applications.md, and through an outage of Redis and a restart of respgate.
#
#     tests/applications/run.sh [NAME...]        only these; --list names them all
#
# RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/applications/venv requirements=tests/applications/requirements.txt
readonly node_modules=target/applications/node_modules node_packages=(bullmq@6.7.0 ioredis@6.0.0)

main() {
    make_venv
    install_node_packages
    export NODE_PATH=$PWD/$node_modules PYTHONDONTWRITEBYTECODE=1
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        export RESPGATE=$PWD/target/debug/respgate
    fi
    exec "$venv/bin/python" tests/applications/main.py "$@"
}

make_venv() {
    cmp -s "$requirements" "$venv/requirements.txt" && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    cp -- "$requirements" "$venv/requirements.txt"
}

install_node_packages() {
    command -v npm >/dev/null || { echo "please install npm, for BullMQ" >&2; exit 1; }
    [[ ${node_packages[*]} == "$(cat "$node_modules/installed" 2>/dev/null)" ]] && return
    rm -rf -- "$node_modules"
    npm install --silent --no-save --no-package-lock --prefix target/applications "${node_packages[@]}"
    echo "${node_packages[*]}" >"$node_modules/installed"
}

main "$@"
