#!/usr/bin/env bash
# Learns what Celery, rq and a web application with Django's cache do, from MONITOR and live, and has each do the same again with
# the line that `respgate acl suggest` makes of that.
#
#     tests/learn/run.sh [NAME...]        only these: celery rq django-cache live
#
# RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/learn/venv

main() {
    make_venv
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        export RESPGATE=$PWD/target/debug/respgate
    fi
    export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD/tests/applications
    exec "$venv/bin/python" tests/learn/play.py "$@"
}

# The versions that the other tests run.
make_venv() {
    local requirements
    requirements=$(grep -E '^(celery|Django|packaging|redis|rq)==' tests/applications/requirements.txt)
    [[ $requirements == "$(cat "$venv/requirements.txt" 2>/dev/null)" ]] && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    # shellcheck disable=SC2086 # One word each.
    "$venv/bin/pip" install -q --disable-pip-version-check $requirements
    printf '%s\n' "$requirements" >"$venv/requirements.txt"
}

main "$@"
