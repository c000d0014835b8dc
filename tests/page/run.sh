#!/usr/bin/env bash
# The page of the admin door, in Chromium: respgate before a Redis, with clients that are refused something. What it shows,
# how fast, to whom it speaks, what hostile names do to it, by keyboard and on a narrow screen. Its pictures are written to
# target/page/; with --pictures to docs/, after a quarter of an hour of traffic, so that there is something to draw.
#
# It needs root, for a host name and a mount of its own, and installs chromium and redis-server where they are missing.
# RESPGATE names the respgate; else it is target/release/respgate or target/debug/respgate.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly venv=target/page-venv websocket_client=1.9.2 pillow=13.0.0

main() {
    [[ $(id -u) -eq 0 ]] || { echo "it mounts and installs: run it as root" >&2; exit 1; }
    install_missing
    make_venv
    respgate=$(find_respgate)
    stage=$(mktemp -d)
    trap 'rm -rf -- "$stage"' EXIT
    "$venv/bin/python" -B tests/page/page.py --respgate "$respgate" --stage "$stage" "$@"
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

install_missing() {
    local packages=()
    command -v chromium >/dev/null || packages+=(chromium)
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v openssl >/dev/null || packages+=(openssl)
    fc-list 2>/dev/null | grep -q DejaVuSansMono || packages+=(fonts-dejavu-core)
    [[ ${#packages[@]} -eq 0 ]] && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

make_venv() {
    "$venv/bin/python" -c "from importlib.metadata import version as v
assert (v('websocket-client'), v('pillow')) == ('$websocket_client', '$pillow')" 2>/dev/null && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "websocket-client==$websocket_client" "pillow==$pillow"
}

find_respgate() {
    local program
    for program in "${RESPGATE:-}" target/release/respgate target/debug/respgate; do
        [[ -x $program ]] && { realpath -- "$program"; return; }
    done
    echo "no respgate: cargo build, or RESPGATE=PATH" >&2
    return 1
}

main "$@"
