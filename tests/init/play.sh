#!/usr/bin/env bash
# What run.sh has played, in namespaces that it has to itself.
#
#     play.sh PLATFORM FOLDER RESPGATE
set -euo pipefail

readonly platform=$1 stage=$2
readonly password=the-old-secret-of-everybody
# Who runs what is started by hand.
readonly owner=4242
respgate=$3
# What the doctor does not call green: what respgate.toml says with its day, since clients still send the old password.
readonly of_host="gate.stray-auth firewall"

main() {
    ip link set lo up
    "set_up_$platform"
    step "$platform: a Redis that answers everybody who has its password"
    "start_$platform"
    expect OK old SET shop:x 1
    step "respgate init"
    mkdir -- "$stage/mine"
    chown "$owner:$owner" "$stage/mine"
    "as_$platform" "$respgate" init "$stage/mine/gate" --for "$platform" --server-name localhost --client shop=app \
        --client ops=admin "${flags[@]}" | tee "$stage/printed"
    paste_all
    printf '\n%s: %d lines pasted, in %d s\n' "$platform" "$pasted" "$SECONDS"
}

# Pastes each line that is printed behind `next`, and looks around after each step.
paste_all() {
    local line is_next='' number=0
    pasted=0
    while IFS= read -r -u 3 line; do
        [[ $line != next* ]] || { is_next=yes; continue; }
        line=${line#"${line%%[! ]*}"}
        if [[ -n $is_next && $line =~ ^'# '([0-9]+)'. ' ]]; then
            [[ $number == 0 ]] || "after_${steps[number - 1]}"
            number=${BASH_REMATCH[1]}
            step "${line#\# }"
        elif [[ -n $is_next && $line != '#'* ]]; then
            printf '$ %s\n' "$line"
            pasted=$((pasted + 1))
            # Redis closes the connection of who stops it.
            "as_$platform" bash -c "$line" 2>&1 | tee "$stage/said" || [[ $line == redis-cli* ]] || die "it failed"
        fi
    done 3<"$stage/printed"
    "after_${steps[number - 1]}"
    local told
    told=$(sed -n 's/^\(RED\|AMBER\|UNKNOWN\) *\([^ ]*\).*/\2/p' "$stage/said" | paste -sd ' ')
    [[ $told == "$last_words" ]] || die "the doctor says more: $told"
}

# --- what is so after each step

after_opened() {
    eventually OK old SET shop:x "after step 1"
}

after_gated() {
    expect OK old SET shop:x "beside respgate"
    local rules=$stage/mine/gate/firewall/respgate.nft
    [[ ! -e $rules ]] || ! command -v nft >/dev/null || nft -f "$rules"
    eventually PONG client ops PING
}

after_opened_and_gated() {
    after_opened
    after_gated
}

after_moved() {
    expect "beside respgate" client shop GET shop:x
    expect NOPERM client shop GET bank:1
    expect "blocked by respgate" client shop FLUSHALL
}

after_asked() {
    expect OK old SET shop:x "one last time"
}

after_closed() {
    expect "Connection refused" old PING
    [[ -n ${socket:-} ]] || return 0
    expect NOAUTH redis-cli -s "$socket" PING
    REDISCLI_AUTH=$password expect WRONGPASS redis-cli -s "$socket" PING
    REDISCLI_AUTH=$password expect WRONGPASS redis-cli -s "$socket" --user web PING
}

after_asked_if_well() {
    expect "one last time" client shop GET shop:x
    # It sends a password still.
    REDISCLI_AUTH=$password expect "one last time" client shop GET shop:x
    expect "one last time" client ops GET shop:x
}

old() {
    REDISCLI_AUTH=$password redis-cli "$@"
}

client() {
    local folder=$stage/mine/gate/clients/$1
    redis-cli -p 6380 --tls --cacert "$folder/ca.crt" --cert "$folder/$1.crt" --key "$folder/$1.key" "${@:2}"
}

# --- started by hand, by somebody who is not root

set_up_bare() {
    steps=(opened gated moved asked closed asked_if_well)
    last_words=$of_host
    socket=$stage/redis/redis.sock
    write_redis_conf
}

write_redis_conf() {
    mkdir -- "$stage/redis"
    cat >"$stage/redis/redis.conf" <<EOF
bind 0.0.0.0
requirepass $password
dir $stage/redis
maxmemory 100mb
EOF
    chmod 700 "$stage/redis"
    chmod 600 "$stage/redis/redis.conf"
    chown -R "$owner:$owner" "$stage/redis"
    flags=(--redis-conf "$stage/redis/redis.conf")
}

start_bare() {
    as_bare redis-server "$stage/redis/redis.conf" --daemonize yes
    eventually PONG old PING
}

as_bare() {
    setpriv --reuid="$owner" --regid="$owner" --clear-groups env -u XDG_RUNTIME_DIR HOME="$stage/mine" "$@"
}

# --- Debian's redis-server, and units of systemd

# Everything of this machine stays as it is: what is written goes beside it.
set_up_systemd() {
    local folder
    steps=(opened gated moved asked closed asked_if_well)
    last_words=$of_host
    [[ -e /etc/redis/redis.conf ]] || die "please install Debian's redis-server"
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs "$stage"
    chmod 711 "$stage"
    for folder in etc usr var; do
        mkdir -p -- "$stage/$folder/above" "$stage/$folder/work"
        mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$stage/$folder/above,workdir=$stage/$folder/work" \
            "/$folder"
    done
    socket=/run/redis/redis.sock
    sed -i 's/^bind .*/bind 0.0.0.0/' /etc/redis/redis.conf
    printf 'user "default" on >%s ~* &* +@all\nuser web on >%s ~web:* +get\nmaxmemory 100mb\n' "$password" "$password" >>/etc/redis/redis.conf
    flags=(--allow 127.0.0.0/8,::1)
    # No systemd runs here: this does what it would do, by what the units say.
    cp -- "${BASH_SOURCE[0]%/*}/systemctl.sh" /usr/local/bin/systemctl
    PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

start_systemd() {
    systemctl restart redis-server
    eventually PONG old PING
}

as_systemd() {
    "$@"
}

# --- containers, by Docker Compose

set_up_compose() {
    steps=(opened_and_gated moved asked closed asked_if_well)
    # On this host there is neither of them.
    last_words="gate.config redis.found firewall"
    write_redis_conf
    . tests/compose/engine.sh
    start_engine
    import_debian "$redis_image" >/dev/null
    install -D -- "$respgate" "$stage/added/respgate"
    install -d -m 1777 "$stage/added/run/respgate"
    import_debian respgate --change 'ENTRYPOINT ["/respgate"]' --change 'USER 65532:65532' \
        --change 'ENV RESPGATE_ADMIN_LISTEN=/run/respgate/admin.sock' >/dev/null
    # Where Compose is a program of its own.
    mkdir -- "$stage/bin"
    cat >"$stage/bin/docker" <<EOF
#!/bin/sh
[ "\$1" = compose ] || exec $(command -v docker) "\$@"
shift
exec ${COMPOSE:-docker-compose} "\$@"
EOF
    chmod +x "$stage/bin/docker"
    PATH=$stage/bin:$PATH
}

# On the host, until it is stopped as the first comment says.
start_compose() {
    start_bare
}

as_compose() {
    if [[ $* == *"compose.step1.yaml up"* ]]; then as_bare redis-cli -a "$password" --no-auth-warning SHUTDOWN || true; fi
    "$@"
}

# --- helpers

expect() {
    local output
    output=$("${@:2}" 2>&1) || true
    grep -q -- "$1" <<<"$output" || die "${*:2}: $output"
    printf '    %s: %s\n' "${*:2}" "$(grep -m1 -- "$1" <<<"$output")"
}

# Within a minute.
eventually() {
    local deadline=$((SECONDS + 60))
    until "${@:2}" 2>&1 | grep -q -- "$1"; do
        [[ $SECONDS -lt $deadline ]] || die "${*:2}: $("${@:2}" 2>&1)"
        sleep 0.1
    done
}

step() {
    printf '\n== %s\n' "$*"
}

die() {
    printf 'init: %s\n' "$*" >&2
    exit 1
}

main
