#!/usr/bin/env bash
# Runs applications with what `respgate acl preset` prints for them, and through an outage of Redis and a restart of respgate.
#
#     tests/applications/run.sh [NAME...]        only these; --list names them all
#
# RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/applications/venv requirements=tests/applications/requirements.txt
readonly unpacked=$PWD/target/applications/debian debian_packages=(prometheus-redis-exporter ruby-connection-pool ruby-rack ruby-redis
    ruby-sidekiq)
readonly node_modules=target/applications/node_modules node_packages=(bullmq@6.7.0 ioredis@6.0.0
    socket.io@4.8.4 socket.io-client@4.8.4 @socket.io/redis-adapter@8.3.0)

main() {
    install_missing
    make_venv
    install_node_packages
    unpack_debian_packages
    export NODE_PATH=$PWD/$node_modules PYTHONDONTWRITEBYTECODE=1
    export PATH=$unpacked/usr/bin:$PATH GEM_PATH=$unpacked/usr/share/rubygems-integration/all
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        export RESPGATE=$PWD/target/debug/respgate
    fi
    exec "$venv/bin/python" tests/applications/main.py "$@"
}

# Neither starts a service.
install_missing() {
    local packages=() as_root=()
    command -v npm >/dev/null || packages+=(npm)
    command -v ruby >/dev/null || packages+=(ruby)
    [[ ${#packages[@]} -eq 0 ]] && return
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

make_venv() {
    cmp -s "$requirements" "$venv/requirements.txt" && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    cp -- "$requirements" "$venv/requirements.txt"
}

install_node_packages() {
    [[ ${node_packages[*]} == "$(cat "$node_modules/installed" 2>/dev/null)" ]] && return
    rm -rf -- "$node_modules"
    npm install --silent --no-save --no-package-lock --prefix target/applications "${node_packages[@]}"
    echo "${node_packages[*]}" >"$node_modules/installed"
}

# Not installed, as that would start services.
unpack_debian_packages() {
    [[ ${debian_packages[*]} == "$(cat "$unpacked/installed" 2>/dev/null)" ]] && return
    rm -rf -- "$unpacked"
    mkdir -p -- "$unpacked/packages"
    (cd "$unpacked/packages" && apt-get download -q "${debian_packages[@]}")
    local package
    for package in "$unpacked"/packages/*.deb; do dpkg -x "$package" "$unpacked"; done
    echo "${debian_packages[*]}" >"$unpacked/installed"
}

main "$@"
