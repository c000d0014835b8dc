#!/usr/bin/env bash
# From a fresh Debian machine with Rust to a Redis behind mutual TLS.
#
#     ./quickstart.sh            build, start, prove, and keep running until Ctrl-C
#     ./quickstart.sh --check    build, start, prove, stop
#
# Everything it makes lies in a temporary folder and goes with it. Exit code 0: every step of the proof held.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

main() {
    local keep_running=yes
    case "${1:-}" in
        "") ;;
        --check) keep_running=no ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac

    install_missing
    say "Building respgate"
    cargo build --release --locked
    binary=${CARGO_TARGET_DIR:-target}/release/respgate

    dir=$(mktemp -d "${TMPDIR:-/tmp}/respgate-quickstart.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM

    say "Certificates: a CA, a server, and the clients shop and ops"
    PATH=$(cd -- "$(dirname -- "$binary")" && pwd):$PATH certs-example/make.sh "$dir"
    # respgate refuses files that others can change, as a clone under another umask makes them.
    install -m 644 certs-example/respgate/{respgate.toml,users.acl} "$dir/respgate"
    config=$dir/respgate/respgate.toml

    start_redis
    start_respgate "$keep_running"
    prove
    if [[ $keep_running == yes ]]; then
        invite
        wait "$respgate_pid"
    fi
}

install_missing() {
    local packages=() as_root=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v redis-cli >/dev/null || packages+=(redis-tools)
    command -v openssl >/dev/null || packages+=(openssl)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs, then run this again"
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "please install: ${packages[*]}"
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    say "Installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${packages[@]}"
}

start_redis() {
    say "Redis: no TCP port, only the socket $dir/redis.sock"
    redis-server --port 0 --unixsocket "$dir/redis.sock" --unixsocketperm 700 --save "" --dir "$dir" \
        --logfile "$dir/redis.log" &
    redis_pid=$!
    wait_until "Redis" "$redis_pid" "$dir/redis.log" redis-cli -s "$dir/redis.sock" PING
}

start_respgate() {
    # The proof takes any port, so that it runs beside whatever listens here already.
    local listen=127.0.0.1:0
    [[ $1 == yes ]] && listen=127.0.0.1:6380
    say "respgate in front of it"
    "$binary" run --config "$config" --listen "$listen" --upstream "unix:$dir/redis.sock" \
        --admin-listen "$dir/admin.sock" --log-format json 2>"$dir/respgate.log" &
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
    mv -- "$dir/shop.crt" "$dir/lost.crt" && mv -- "$dir/shop.key" "$dir/lost.key"
    expect "a certificate can be taken back" \
        '^revoked: client shop' respgate cert revoke --cert "$dir/lost.crt" --dir "$dir" --config "$config"
    for _ in $(seq 100); do
        cli lost PING 2>&1 | grep -q '^PONG$' || break
        sleep 0.1
    done
    expect_not "and does not get in any more" \
        '^PONG$' cli lost PING
    expect "but its successor does" \
        'shop.crt' respgate cert client shop --dir "$dir"
    expect "as the same user" \
        '^PONG$' cli shop PING
    expect "the data is still there" \
        '^2 apples$' cli shop GET shop:cart:1
    # Redis itself is asked: it counts every command that it was ever sent.
    expect_not "Redis never heard of FLUSHALL" \
        'cmdstat_flushall' redis-cli -s "$dir/redis.sock" INFO commandstats
    say "All of it held"
}

invite() {
    cat <<END

It runs until Ctrl-C. In another terminal:

    redis-cli -p $port --tls --cacert $dir/ca.crt --cert $dir/shop.crt --key $dir/shop.key

Try SET shop:x 1, GET bank:x, FLUSHALL. The same with ops.crt and ops.key is the operator.
Change $dir/respgate/users.acl: respgate reads it by itself, and says in its log what it makes of it.
Take a certificate back:  $binary cert revoke shop --dir $dir
END
}

# --- helpers

# redis-cli over mutual TLS as this client; as nobody when the name is empty.
cli() {
    local identity=()
    [[ -n $1 ]] && identity=(--cert "$dir/$1.crt" --key "$dir/$1.key")
    redis-cli -h 127.0.0.1 -p "$port" --tls --cacert "$dir/ca.crt" "${identity[@]}" "${@:2}"
}

respgate() {
    "$binary" "$@"
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
