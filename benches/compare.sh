#!/usr/bin/env bash
# respgate beside stunnel, HAProxy, nginx and Redis's own TLS, on this machine: the figures as Markdown.
#
#     benches/compare.sh [--rounds N] [--secs S] [--quick] [--only TEXT] [-o FILE]
#
# --rounds N    how often each of them does each load, in turns (5); the tables have the medians
# --secs S      seconds of each (3)
# --quick       one round of one second, to see that it works: its figures say little
# --only TEXT   the loads with this in their name, and not the idle connections
# -o FILE       every round as JSON, too
#
# For Debian. Installs what is missing, without starting it, and builds for minutes. Everything runs on free ports of loopback and
# in a folder that is removed at the end. RESPGATE names another respgate than target/release/respgate, which is built first.
# docs/performance.md says how the figures are read.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# Debian puts haproxy and nginx where a user does not look.
export PATH=$PATH:/usr/sbin

main() {
    local argument
    for argument in "$@"; do
        case $argument in -h | --help) usage && exit ;; esac
    done
    install_missing
    build
    PYTHONPATH=$root/benches exec python3 -B "$root/benches/compare/compare.py" \
        --respgate "${RESPGATE:-$root/target/release/respgate}" --load "$root/target/release/examples/compare-load" "$@"
}

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

install_missing() {
    local packages=() as_root=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v stunnel >/dev/null || packages+=(stunnel4)
    command -v haproxy >/dev/null || packages+=(haproxy)
    command -v nginx >/dev/null || packages+=(nginx)
    [[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] || packages+=(libnginx-mod-stream)
    command -v openssl >/dev/null || packages+=(openssl)
    command -v python3 >/dev/null || packages+=(python3)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs, then run this again"
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "please install: ${packages[*]}"
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    # None of them is to start as a service of this host.
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${packages[@]}"
}

# One after the other: together, respgate would be built with what only the tests ask of its libraries.
build() {
    cd -- "$root"
    [[ -n ${RESPGATE:-} ]] || cargo build --release --locked --quiet
    cargo build --release --locked --quiet --example compare-load
    cd -- "$OLDPWD"
}

die() {
    printf 'compare: %s\n' "$*" >&2
    exit 1
}

main "$@"
