# A Docker Engine of its own, in namespaces, without a registry: for scripts that source this. What it makes of interfaces,
# rules, mounts and containers is gone when it ends. `stage` is the folder that takes everything.

readonly redis_image=docker.io/library/redis:7.2-bookworm
# Stands in for the images of the registry, and stays.
readonly debian=target/compose/root mirror=${MIRROR:-http://deb.debian.org/debian}

# --- outside of the namespaces

# Installs Debian's engine, Compose and debootstrap where they are missing, and these packages; starts none of them.
install_engine() {
    local packages=("$@")
    [[ $(id -u) -eq 0 ]] || skip "an engine of its own needs root"
    unshare --net --mount --pid --fork --mount-proc true || skip "an engine of its own needs namespaces"
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v docker-compose >/dev/null || packages+=(docker-compose)
    command -v debootstrap >/dev/null || packages+=(debootstrap)
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

make_debian() {
    mkdir -p -- "$(dirname -- "$debian")"
    [[ -x $debian/usr/bin/redis-server ]] && return
    rm -rf -- "$debian"
    debootstrap --variant=minbase --include=gcc,libc6-dev,openssl,redis-server bookworm "$debian" "$mirror" \
        >"$stage/debootstrap.log" || { tail "$stage/debootstrap.log"; return 1; }
}

# For a trap: ends `played`, which plays in the namespaces, and takes away what it leaves.
end_engine() {
    local status=$?
    kill -KILL "${played:-}" 2>/dev/null || true
    clean_up_engine || exit 1
    exit "$status"
}

# With unshare the first process of the namespaces ends, and with that all the others do, one after the other.
clean_up_engine() {
    for _ in {1..100}; do
        find /sys/fs/cgroup -depth -type d -path "*/${stage##*/}*" -exec rmdir {} + 2>/dev/null || true
        rm -rf --one-file-system -- "$stage" 2>/dev/null || true
        [[ ! -e $stage && -z $(find /sys/fs/cgroup -type d -name "${stage##*/}") ]] && return
        sleep 0.1
    done
    printf 'not everything of %s could be taken away\n' "$stage" >&2
    return 1
}

# --- in the namespaces

start_engine() {
    export DOCKER_HOST=unix://$stage/docker.sock
    # Not the sockets, locks and states of this machine.
    mount -t tmpfs tmpfs /run
    [[ ! -d /etc/docker ]] || mount -t tmpfs tmpfs /etc/docker
    ip link set lo up
    dockerd --host "$DOCKER_HOST" --data-root "$stage/data" --exec-root "$stage/exec" --pidfile "$stage/docker.pid" \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/${stage##*/}" >"$stage/log" 2>&1 &
    local engine=$!
    until docker version >"$stage/version" 2>&1; do
        kill -0 "$engine" 2>/dev/null || skip "the engine does not start: $(tail -1 "$stage/log")"
        sleep 0.1
    done
    printf 'engine %s\n' "$(docker version --format '{{.Server.Version}}')"
}

# import_debian IMAGE [OPTION…]: the Debian with what more there is in the folder `added`.
import_debian() {
    # Somebody's, and nobody else may enter: the volume for it is made with the same owner and mode.
    install -d -o 12345 -m 0700 "$debian/data"
    local more=()
    if [[ -d $stage/added ]]; then
        # No folder twice: an engine takes that for an error.
        mapfile -t more < <(cd -- "$stage/added" && find . ! -type d -o -type d -empty)
        more=(-C "$stage/added" "${more[@]}")
    fi
    tar -c --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' --exclude=./var/cache -C "$PWD/$debian" . \
        "${more[@]}" | docker import "${@:2}" - "$1"
}

skip() {
    printf '\nSKIPPED: no container was run: %s\n' "$1" >&2
    exit 77
}
