#!/usr/bin/env bash
# Runs applications with the ACL lines of docs/applications.md, and through an outage of Redis and a restart of respgate.
#
#     tests/applications/run.sh [NAME...]        only these; --list names them all
#
# RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/applications/venv requirements=tests/applications/requirements.txt

main() {
    make_venv
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

main "$@"
