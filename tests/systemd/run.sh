#!/usr/bin/env bash
# Holds the units of deploy/systemd against systemd's own tools, starts respgate as systemd would, and takes 50 blocked
# clients, 200 idle ones, 50 subscribers and a load through its restart.
#
# It needs systemd-analyze and systemd-socket-activate (Debian: systemd), redis-server and redis-cli, and no running
# systemd. RESPGATE names another respgate than target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly units=deploy/systemd venv=target/test-venv redis_py=8.1.0
# What the hardening has come to; a higher exposure is a failure. In tenths, as systemd-analyze takes it.
readonly most_exposed=15

main() {
    local tool
    for tool in systemd-analyze systemd-socket-activate redis-server redis-cli; do
        command -v "$tool" >/dev/null || { echo "please install what has $tool" >&2; exit 1; }
    done
    if [[ -z ${RESPGATE:-} ]]; then
        cargo build --locked --quiet
        RESPGATE=$PWD/target/debug/respgate
    fi
    stage=$(mktemp -d)
    trap end EXIT
    step "The instance differs from the service only where it has to" compare_units
    step "systemd-analyze verify" verify
    step "systemd-analyze security" security respgate.service 'respgate@.service' respgate-tunnel.service
    make_venv
    start_redis
    write_configuration
    step "Started by a connection, under systemd-socket-activate" activated
    step "A restart" restart --in-turn
    step "A restart with an overlap" restart --overlap
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

end() {
    local pid
    for pid in ${redis:-} ${activated:-}; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    done
    rm -rf -- "$stage"
}

compare_units() {
    diff <(settings respgate.service) <(settings respgate@.service | sed -E \
        -e '/^Sockets=respgate.socket$/d' \
        -e 's/ \(%i\)$//' \
        -e 's/-%i$//' \
        -e 's| RESPGATE_ADMIN_LISTEN=/run/respgate-%i/respgate.sock$||')
    diff <(settings respgate.service | sed -E 's/^(After=network-online.target) .*/\1/') \
        <(settings respgate-tunnel.service | sed -E \
            -e 's/^Description=.*/Description=Authenticating TLS proxy for Redis/' \
            -e 's/tunnel\.(md|toml)/\1/;s|/doc/respgate/md|/doc/respgate/operations.md|;s|/respgate/toml|/respgate/respgate.toml|' \
            -e 's/^(RuntimeDirectory=respgate)-tunnel$/\1/' \
            -e 's| RESPGATE_ADMIN_LISTEN=/run/respgate-tunnel/respgate.sock$||')
}

settings() {
    grep -vE '^(#|$)' "$units/$1"
}

# The units name /usr/bin/respgate and units of Debian, which need not be there.
verify() {
    local unit
    for unit in "$units"/*.service "$units"/*.socket; do
        sed "s|/usr/bin/respgate|$RESPGATE|" "$unit" >"$stage/$(basename -- "$unit")"
    done
    (
        cd -- "$stage"
        mv respgate@.service respgate@next.service
        systemd-analyze verify ./respgate.service ./respgate@next.service ./respgate-tunnel.service ./respgate.socket
    )
}

security() {
    local unit
    for unit in "$@"; do
        systemd-analyze security --no-pager --offline=true --threshold="$most_exposed" "$stage/${unit/@/@next}" |
            grep -E '^→|✗'
    done
}

make_venv() {
    "$venv/bin/python" -c "import redis; assert redis.__version__ == '$redis_py'" 2>/dev/null && return
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "redis==$redis_py"
}

start_redis() {
    redis-server --port 0 --unixsocket "$stage/redis.sock" --save '' --appendonly no --dir "$stage" >/dev/null &
    redis=$!
    until redis-cli -s "$stage/redis.sock" PING >/dev/null 2>&1; do sleep 0.05; done
}

write_configuration() {
    umask 077
    "$RESPGATE" cert --dir "$stage/ca" ca >/dev/null
    "$RESPGATE" cert --dir "$stage/ca" server localhost 127.0.0.1 --file server >/dev/null
    "$RESPGATE" cert --dir "$stage/ca" client app >/dev/null
    echo 'user app on ~restart:* &restart:* +@all -@dangerous' >"$stage/users.acl"
    cat >"$stage/respgate.toml" <<EOF
listen = "systemd:clients"
upstream = "unix:$stage/redis.sock"
tls-cert-file = "$stage/ca/server.crt"
tls-key-file = "$stage/ca/server.key"
tls-ca-cert-file = "$stage/ca/ca.crt"
tls-auth-clients-user = "CN"
aclfile = "$stage/users.acl"
maxclients = 1000
shutdown-timeout = "5s"
admin-listen = "$stage/admin.sock"
EOF
}

# It is started by the first connection, which waits until it accepts.
activated() {
    local port
    port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    systemd-socket-activate -l "127.0.0.1:$port" --fdname=clients \
        "$RESPGATE" run --config "$stage/respgate.toml" 2>"$stage/log" &
    activated=$!
    until grep -q Listening "$stage/log"; do sleep 0.05; done
    redis-cli -h 127.0.0.1 -p "$port" --tls --cacert "$stage/ca/ca.crt" --cert "$stage/ca/app.crt" \
        --key "$stage/ca/app.key" PING
    kill "$activated"
    wait "$activated"
}

restart() {
    "$venv/bin/python" tests/systemd/restart.py "$@" --respgate "$RESPGATE" --config "$stage/respgate.toml" \
        --ca "$stage/ca/ca.crt" --cert "$stage/ca/app.crt" --key "$stage/ca/app.key"
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

main "$@"
