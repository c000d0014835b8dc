#!/usr/bin/env bash
# What run.sh has played, in namespaces that it has to itself: an engine, and in it the image and compose.yaml.
#
#     play.sh FOLDER VENDOR
#
# FOLDER takes everything that is made, VENDOR has the crates.
set -euo pipefail

readonly stage=$1 vendor=$2
. tests/compose/engine.sh
readonly rust_image=docker.io/library/rust:1-bookworm
readonly project=$stage/shop
# Whose files they are: neither root nor the default of compose.yaml.
readonly owner=4242 largest=$((16 * 1000 * 1000))
read -ra compose <<<"${COMPOSE:-docker-compose}"
export COMPOSE_PROJECT_NAME=shop RESPGATE_UID=$owner

main() {
    step "An engine" start_engine
    printf 'Compose %s\n' "$("${compose[@]}" version --short)"
    step "The images of a registry" import_images
    step "A clone, and its certificates" make_project
    step "The image" make_image
    step "The wrong RESPGATE_UID" start_as_another
    step "Up" up
    step "PING from another container" ping
    step "Tunnels, to names" tunnels
    step "No other way to Redis" scan
    step "An edited file of users" edit_users
    step "A revoked certificate" revoke
    step "Either one restarted" restart
    step "Down" down
    [[ -n ${IMAGE:-} ]] || step "quickstart.sh without Rust" quickstart
}

import_images() {
    import_debian "$redis_image"
    [[ -z ${IMAGE:-} ]] || return 0
    local sysroot
    sysroot=$(rustc --print sysroot)
    mkdir -- "$stage/rust"
    tar -C "$sysroot" --exclude=./share --exclude=./lib/rustlib/src --transform 's,^\.,rust,' \
        -cf "$stage/rust/rust.tar" .
    tar -C "$vendor" --transform 's,^\.,vendor,' -cf "$stage/rust/vendor.tar" .
    cat >"$stage/rust/config.toml" <<'END'
source.crates-io.replace-with = "vendor"
source.vendor.directory = "/opt/vendor"
END
    docker build --quiet --tag "$rust_image" --file - "$stage/rust" <<END
FROM $redis_image
ADD rust.tar vendor.tar /opt/
COPY config.toml /opt/cargo/
ENV PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/opt/cargo
END
    rm -r -- "$stage/rust"
}

make_project() {
    mkdir -p -- "$project/certs-example/respgate"
    cp -- compose.yaml Dockerfile .dockerignore quickstart.sh Cargo.toml Cargo.lock LICENSE-* README.md "$project"
    cp -r -- .cargo src benches deploy "$project"
    cp -- certs-example/make.sh "$project/certs-example"
    mkdir -- "$project/certs-example/redis"
    cp -- certs-example/respgate/{respgate.toml,users.acl} "$project/certs-example/respgate"
    chown -R "$owner:$owner" "$project"
    chmod 711 "$stage"
    as_owner certs-example/make.sh | tee "$stage/said"
}

make_image() {
    if [[ -n ${IMAGE:-} ]]; then
        docker load --quiet --input "$IMAGE"
    else
        local begin=$SECONDS
        compose build respgate >"$stage/build" 2>&1 || { tail -50 "$stage/build"; return 1; }
        printf 'built in %d s\n' "$((SECONDS - begin))"
    fi
    local size
    size=$(docker image inspect --format '{{.Size}}' respgate)
    printf '%d.%03d MB\n' "$((size / 1000000))" "$((size / 1000 % 1000))"
    [[ $size -lt $largest ]] || die "the image is too large"
    docker run --rm respgate --version
}

start_as_another() {
    RESPGATE_UID=4243 compose up --detach --no-build >"$stage/up" 2>&1 || { cat "$stage/up"; return 1; }
    eventually said_whose || { compose logs --tail 10 respgate; die "whose the files are was not said"; }
    head -1 "$stage/whose"
    compose down --volumes >/dev/null 2>&1
}

said_whose() {
    compose logs --no-color respgate >"$stage/logs"
    grep "belongs to user $owner.*this process is user 4243" "$stage/logs" >"$stage/whose"
}

up() {
    compose up --detach --no-build >"$stage/up" 2>&1 || { cat "$stage/up"; return 1; }
    eventually healthy redis || { compose logs --tail 10 redis; die "Redis is not healthy"; }
    eventually healthy respgate || { compose logs --tail 10 respgate; die "respgate is not healthy"; }
    compose ps
    docker exec "$(id_of respgate)" /respgate status
    [[ -n $(docker exec "$(id_of redis)" sh -c 'ls /data/appendonlydir') ]] || die "Redis does not write to its volume"
}

healthy() {
    [[ $(docker inspect --format '{{.State.Health.Status}}' "$(id_of "$1")") == healthy ]]
}

ping() {
    eventually answers ops || die "no PONG: $(client ops PING 2>&1)"
    expect PONG client shop PING
    expect OK client shop SET shop:cart:1 "2 apples"
    expect NOPERM client shop GET bank:account:1
    expect 'blocked by respgate' client shop FLUSHALL
    expect 'Verify return code: 0' elsewhere openssl s_client -connect respgate:6380 -verify_hostname respgate \
        -verify_return_error -CAfile /pki/ca.crt -cert /pki/shop.crt -key /pki/shop.key
    expect_not PONG elsewhere redis-cli -h respgate -p 6380 --tls --cacert /pki/ca.crt PING
    (: </dev/tcp/127.0.0.1/6380) || die "nothing is published on 127.0.0.1"
}

answers() {
    [[ $(client "$1" PING 2>&1) == PONG ]]
}

scan() {
    local networks respgate gateway
    networks=$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' \
        "$(id_of redis)")
    [[ $networks == "none " ]] || die "Redis has networks: $networks"
    [[ $(docker exec "$(id_of redis)" sh -c 'cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6' |
        grep -c '^ *[0-9]') == 0 ]] || die "Redis listens on more than its socket"
    respgate=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(id_of respgate)")
    gateway=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}' "$(id_of respgate)")
    [[ $(open_ports "$respgate") == "6380" ]] || die "respgate's container has other ports: $(open_ports "$respgate")"
    [[ -z $(open_ports "$gateway") ]] || die "this machine has ports: $(open_ports "$gateway")"
    printf 'of 65535 ports 6380 of %s is open, and none of %s\n' "$respgate" "$gateway"
}

# What docs/tunnel.md says of containers, with the certificates of this project and in its network.
tunnels() {
    local certs=$project/tunnel/certs respgate
    install -d -- "$certs"
    cp -- "$project/certs-example/ca.crt" "$project/certs-example/shop.crt" "$certs"
    install -o 65532 -m 0600 -- "$project/certs-example/shop.key" "$certs"
    respgate=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(id_of respgate)")
    printf '%s\n' "networks: { default: { external: true, name: shop_default } }" \
        "services: { redis-tls: { extra_hosts: ['in-hosts.test:$respgate'] }, shop: { user: '4242' } }" \
        >"$project/tunnel/here.yaml"
    through_tunnel respgate:6380 PONG
    through_tunnel "in-hosts.test:6380, --server-name=respgate" PONG
    through_tunnel nobody.test:6380 'Connection reset\|closed the connection'
    expect 'outcome="failed".* server=nobody.test:6380 reason="name"' tunnel logs --no-color redis-tls
    expect 'true 0' docker inspect --format '{{.State.Running}} {{.RestartCount}}' "$(tunnel ps --quiet redis-tls)"
    tunnel down --volumes >/dev/null 2>&1
}

# through_tunnel CONNECT ANSWER: what an application is answered where `connect` is this.
through_tunnel() {
    sed -n '/^services:$/,/^```$/ { /^```$/!p }' docs/tunnel.md |
        sed "s|image: shop\$|image: $redis_image|; s|redis\.example:6380|$1|" >"$project/tunnel/compose.yaml"
    grep -qF -- "--connect=$1," "$project/tunnel/compose.yaml" || die "docs/tunnel.md has another example"
    tunnel up --detach redis-tls >"$stage/up" 2>&1 || { cat "$stage/up"; return 1; }
    eventually tunnel exec -T redis-tls /respgate health >/dev/null 2>&1 || { tunnel logs --tail 10 redis-tls; die "no tunnel to $1"; }
    expect "$2" tunnel run --rm --no-deps shop redis-cli -s /run/redis-tls/redis.sock PING
}

tunnel() {
    (cd -- "$project/tunnel" && "${compose[@]}" --project-name tunnel --file compose.yaml --file here.yaml "$@")
}

# Of an address, as another container finds them.
open_ports() {
    elsewhere bash -c '
        for port in {1..65535}; do
            if { exec 3<>"/dev/tcp/$0/$port"; } 2>/dev/null; then echo "$port"; fi
        done' "$1"
}

edit_users() {
    expect NOPERM client shop GET basket:1
    # As editors do: another file, under the same name.
    as_owner sed -i 's/ ~shop:\*/ ~shop:* ~basket:*/' certs-example/respgate/users.acl
    eventually not_refused client shop GET basket:1 || die "the users are still the old ones"
    expect NOPERM client shop GET bank:account:1
}

not_refused() {
    [[ $("$@" 2>&1) != *NOPERM* ]]
}

revoke() {
    local command
    command=$(sed -n 's/^to take one back: //p' "$stage/said")
    as_owner sh -euc "$command" 2>/dev/null
    eventually refused shop || die "a revoked certificate is let in"
    expect '"reason":"revoked"' compose logs --no-color respgate
    expect PONG client ops PING
}

refused() {
    [[ $(client "$1" PING 2>&1) != *PONG* ]]
}

restart() {
    local service
    for service in redis respgate; do
        compose restart "$service" >/dev/null 2>&1
        eventually answers ops || { compose logs --tail 10 "$service"; die "no PONG after a restart of $service"; }
        eventually healthy "$service" || die "$service is not healthy after a restart"
        expect '2 apples' client ops GET shop:cart:1
        ! answers shop || die "a revoked certificate is let in after a restart of $service"
    done
}

down() {
    compose down >/dev/null 2>&1
    docker volume ls --format '{{.Name}}' | grep -q redis-data || die "the data went with it"
    compose up --detach --no-build >/dev/null 2>&1
    eventually answers ops || die "no PONG after down and up"
    expect '2 apples' client ops GET shop:cart:1
    compose down --volumes >/dev/null 2>&1
    [[ -z $(docker ps --all --quiet)$(docker volume ls --quiet) ]] || die "something was left"
}

# It builds what has been built above, and takes the program out of the image.
quickstart() {
    local tool tools=$stage/tools
    mkdir -- "$tools"
    for tool in bash docker redis-server redis-cli openssl cc; do
        ln -s -- "$(command -v "$tool")" "$tools"
    done
    for tool in /usr/bin/* /bin/*; do
        case ${tool##*/} in cargo | rustc | rustup | apt-*) ;; *) ln -s -- "$tool" "$tools" 2>/dev/null || true ;; esac
    done
    PATH=$tools "$project/quickstart.sh" --check >"$stage/quickstart" 2>&1 || { cat "$stage/quickstart"; return 1; }
    tail -1 "$stage/quickstart"
}

# --- helpers

compose() {
    (cd -- "$project" && "${compose[@]}" "$@")
}

id_of() {
    compose ps --quiet "$1"
}

as_owner() {
    (cd -- "$project" && setpriv --reuid="$owner" --regid="$owner" --clear-groups "$@")
}

# In another container, in the network of respgate.
elsewhere() {
    docker run --rm --network shop_default --volume "$project/certs-example:/pki:ro" "$redis_image" "$@"
}

client() {
    elsewhere redis-cli -h respgate -p 6380 --tls --cacert /pki/ca.crt --cert "/pki/$1.crt" --key "/pki/$1.key" "${@:2}"
}

expect() {
    local output
    output=$("${@:2}" 2>&1) || true
    grep -q -- "$1" <<<"$output" || die "${*:2}: $output"
    printf '%s: %s\n' "${*:2}" "$(grep -m1 -- "$1" <<<"$output")"
}

expect_not() {
    local output
    output=$("${@:2}" 2>&1) || true
    ! grep -q -- "$1" <<<"$output" || die "${*:2}: $output"
}

# Within a minute.
eventually() {
    local deadline=$((SECONDS + 60))
    until "$@"; do
        [[ $SECONDS -lt $deadline ]] || return 1
        sleep 0.2
    done
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

die() {
    printf 'compose: %s\n' "$*" >&2
    exit 1
}

main
