#!/usr/bin/env bash
# From a fresh Debian machine to a Redis behind mutual TLS.
#
#     ./quickstart.sh            build, start, prove, and keep running until Ctrl-C
#     ./quickstart.sh --check    build, start, prove, stop
#
# Where Rust is missing, it takes Debian's rustup (Debian 13 and later), else Docker. Everything but that and the build
# lies in a temporary folder and goes with it. Exit code 0: every step of the proof held.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

main() {
    local keep_running=yes
    case "${1:-}" in
        "") ;;
        --check) keep_running=no ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac

    install_missing
    dir=$(mktemp -d "${TMPDIR:-/tmp}/respgate-quickstart.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    build

    say "Configuration, users, and certificates for the clients shop and ops"
    # The proof takes any port, so that it runs beside whatever listens here already.
    local listen=127.0.0.1:0
    [[ $keep_running == no ]] || listen=127.0.0.1:6380
    gate=$dir/gate config=$dir/gate/etc/respgate.toml
    # The lines that it prints are for somebody who has no script to do it.
    respgate init "$gate" --server-name localhost --listen "$listen" --client shop=app --client ops=admin |
        sed '/^next/,$d'

    start_redis
    start_respgate
    prove
    if [[ $keep_running == yes ]]; then
        invite
        wait "$respgate_pid"
    fi
}

install_missing() {
    local packages=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v redis-cli >/dev/null || packages+=(redis-tools)
    choose_builder
    if [[ $builder != docker ]]; then
        command -v cc >/dev/null || packages+=(gcc libc6-dev)
    fi
    if [[ $builder == rustup ]]; then
        rustup --version >/dev/null 2>&1 || packages+=(rustup ca-certificates)
    fi
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "please install: ${packages[*]}"
    say "Installing ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# What builds respgate: the Rust of this machine, one that rustup brings, or Docker.
choose_builder() {
    local needed version lack
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
    if [[ -z $version ]]; then
        lack="Rust is missing"
        builder=rustup
        has_rustup && return
    elif printf '%s\n' "$needed" "$version" | sort --version-sort --check=quiet; then
        builder=cargo
        return
    else
        lack="Rust $version is too old, $needed is needed"
    fi
    builder=docker
    docker info >/dev/null 2>&1 && return
    die "$lack; this brings it: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
}

# Here, or in Debian.
has_rustup() {
    rustup --version >/dev/null 2>&1 && return
    command -v apt-get >/dev/null || return 1
    # A fresh machine has no lists of packages.
    apt-cache show rustup >/dev/null 2>&1 || as_root apt-get update -qq || return 1
    apt-cache show rustup >/dev/null 2>&1
}

build() {
    say "Building respgate, with $builder"
    if [[ $builder == docker ]]; then
        local container
        docker build --tag respgate .
        container=$(docker create respgate)
        # A static program, which runs here as well.
        mkdir -- "$dir/bin"
        docker cp "$container:/respgate" "$dir/bin"
        docker rm "$container" >/dev/null
        binary=$dir/bin/respgate
        return
    fi
    if [[ $builder == rustup ]]; then
        rustup toolchain install stable --profile minimal
        rustup default stable
    fi
    cargo build --release --locked
    binary=${CARGO_TARGET_DIR:-target}/release/respgate
}

start_redis() {
    say "Redis: no TCP port, only the socket $gate/redis/redis.sock, and no user but respgate"
    redis-server "$gate/redis/redis.conf" &
    redis_pid=$!
    wait_until "Redis" "$redis_pid" "$gate/log/redis.log" redis-cli -s "$gate/redis/redis.sock" PING
}

start_respgate() {
    say "respgate in front of it"
    "$binary" run --config "$config" --metrics-listen 127.0.0.1:0 --log-format json 2>"$dir/respgate.log" &
    respgate_pid=$!
    wait_until "respgate" "$respgate_pid" "$dir/respgate.log" listening_port
    port=$(listening_port)
    echo "listening on 127.0.0.1:$port, log in $dir/respgate.log"
}

prove() {
    say "The proof"
    expect "a certificate to get in" \
        '^PONG$' cli shop PING
    expect "the certificate says who: shop has its keys" \
        '^OK$' cli shop SET shop:cart:1 "2 apples"
    expect "and no others" \
        '^NOPERM ' cli shop GET bank:account:1
    expect "ops has every key" \
        '^2 apples$' cli ops GET shop:cart:1
    expect "FLUSHALL is refused" \
        '^NOPERM .*flushall.*blocked by respgate' cli shop FLUSHALL
    expect "in any spelling" \
        '^NOPERM .*flushall.*blocked by respgate' cli shop fLuShAlL ASYNC
    expect "CONFIG GET as well" \
        '^NOPERM .*config.get.*blocked by respgate' cli shop CONFIG GET requirepass
    expect_not "no certificate, no answer" \
        '^PONG$' cli "" PING
    # A laptop is lost: its certificate is taken back, and shop has a new one.
    mv -- "$gate/pki/shop.crt" "$gate/pki/lost.crt" && mv -- "$gate/pki/shop.key" "$gate/pki/lost.key"
    expect "a certificate can be taken back" \
        '^revoked: client shop' respgate cert revoke --cert "$gate/pki/lost.crt" --dir "$gate/pki" --config "$config"
    for _ in $(seq 100); do
        cli lost PING 2>&1 | grep -q '^PONG$' || break
        sleep 0.1
    done
    expect_not "and does not get in any more" \
        '^PONG$' cli lost PING
    expect "but its successor does" \
        'shop.crt' respgate cert client shop --dir "$gate/pki"
    expect "as the same user" \
        '^PONG$' cli shop PING
    expect "the data is still there" \
        '^2 apples$' cli shop GET shop:cart:1
    # Redis itself is asked: it counts every command that it was ever sent.
    expect_not "Redis never heard of FLUSHALL" \
        'cmdstat_flushall' redis_itself INFO commandstats
    say "All of it held"
}

invite() {
    cat <<END

It runs until Ctrl-C. In another terminal:

    redis-cli -p $port --tls --cacert $gate/pki/ca.crt --cert $gate/pki/shop.crt --key $gate/pki/shop.key

Try SET shop:x 1, GET bank:x, FLUSHALL. The same with ops.crt and ops.key is the operator.
Change $gate/etc/users.acl: respgate reads it by itself, and says in its log what it makes of it.
Take a certificate back:  $binary cert revoke shop --dir $gate/pki
A Redis of your own:      $binary init --help, and docs/init.md
END
}

# --- helpers

# redis-cli over mutual TLS as this client; as nobody when the name is empty.
cli() {
    local identity=()
    [[ -n $1 ]] && identity=(--cert "$gate/pki/$1.crt" --key "$gate/pki/$1.key")
    redis-cli -h 127.0.0.1 -p "$port" --tls --cacert "$gate/pki/ca.crt" "${identity[@]}" "${@:2}"
}

respgate() {
    "$binary" "$@"
}

redis_itself() {
    REDISCLI_AUTH=$(<"$gate/etc/redis-password") redis-cli -s "$gate/redis/redis.sock" --user respgate "$@"
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

expect() {
    run_step "$@"
    grep -qE -- "$2" <<<"$output" || die "that should have matched $2"
}

expect_not() {
    run_step "$@"
    ! grep -qE -- "$2" <<<"$output" || die "that should not have matched $2"
}

# run_step TITLE PATTERN COMMAND…: says what is asked, and shows the first lines of the answer.
run_step() {
    printf '\n# %s\n' "$1"
    if [[ $3 == cli ]]; then
        printf '%s$ %s\n' "${4:-nobody}" "${*:5}"
    else
        printf '$ %s\n' "${*:3}"
    fi
    output=$("${@:3}" 2>&1) || true
    if [[ $1 == "Redis never"* ]]; then
        grep -oE '^cmdstat_[^:]+:calls=[0-9]+' <<<"$output" || true
    else
        printf '%s\n' "$output"
    fi
}

listening_port() {
    sed -nE '/"listening"/s/.*"address": ?"[^"]*:([0-9]+)".*/\1/p' "$dir/respgate.log" | grep -m1 .
}

# wait_until NAME PID LOG COMMAND…: until the command succeeds; shows the log when the process ends before.
wait_until() {
    for _ in $(seq 100); do
        if "${@:4}" >/dev/null 2>&1; then return; fi
        kill -0 "$2" 2>/dev/null || { cat -- "$3" >&2; die "$1 ended instead of starting"; }
        sleep 0.1
    done
    cat -- "$3" >&2
    die "$1 did not start within 10 seconds"
}

clean_up() {
    local status=$?
    trap - EXIT
    for pid in "${respgate_pid:-}" "${redis_pid:-}"; do
        [[ -n $pid ]] || continue
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf -- "$dir"
    exit "$status"
}

say() {
    if [[ -t 1 ]]; then printf '\n\033[1m== %s\033[0m\n' "$*"; else printf '\n== %s\n' "$*"; fi
}

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

main "$@"
