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
readonly clean=target/compose/root vendor=target/compose/vendor mirror=${MIRROR:-http://deb.debian.org/debian}

main() {
    [[ $(id -u) -eq 0 ]] || skip "an engine of its own needs root"
    unshare --net --mount --pid --fork --mount-proc true || skip "an engine of its own needs namespaces"
    install_missing
    step "The schema of Compose" check_schema
    stage=$(mktemp -d)
    trap end EXIT
    trap 'exit 130' INT TERM
    step "What stands in for the images of a registry" make_bases
    unshare --net --mount --pid --fork --kill-child --mount-proc \
        tests/compose/play.sh "$stage" "$clean" "$vendor" &
    played=$!
    wait "$played" || exit
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

# With unshare the first process of the namespaces ends, and with that all the others do, one after the other.
end() {
    local status=$?
    kill -KILL "${played:-}" 2>/dev/null || true
    for _ in {1..100}; do
        find /sys/fs/cgroup -depth -type d -path "*/${stage##*/}*" -exec rmdir {} + 2>/dev/null || true
        rm -rf --one-file-system -- "$stage" 2>/dev/null || true
        [[ ! -e $stage && -z $(find /sys/fs/cgroup -type d -name "${stage##*/}") ]] && exit "$status"
        sleep 0.1
    done
    printf 'compose: not everything of %s could be taken away\n' "$stage" >&2
    exit 1
}

install_missing() {
    local packages=()
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v docker-compose >/dev/null || packages+=(docker-compose)
    command -v debootstrap >/dev/null || packages+=(debootstrap)
    command -v openssl >/dev/null || packages+=(openssl)
    command -v redis-server >/dev/null || packages+=(redis-server)
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || skip "please install: ${packages[*]}"
    # Installed is not started: an engine would make interfaces and rules of this machine.
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get update -qq
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
        skip "${packages[*]} cannot be installed"
    if [[ -n $(trap -p EXIT) ]]; then
        rm -f /usr/sbin/policy-rc.d
        trap - EXIT
    fi
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
    if [[ ! -x $clean/usr/bin/redis-server ]]; then
        rm -rf -- "$clean"
        debootstrap --variant=minbase --include=gcc,libc6-dev,openssl,redis-server bookworm "$clean" "$mirror" \
            >"$stage/debootstrap.log" || { tail "$stage/debootstrap.log"; return 1; }
    fi
    [[ -n ${IMAGE:-} ]] || cargo vendor --locked --quiet "$vendor" >/dev/null
    du -sh -- "$clean"
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

skip() {
    printf '\nSKIPPED: compose.yaml was not run: %s\n' "$1" >&2
    exit 77
}

main "$@"
