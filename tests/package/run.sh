#!/usr/bin/env bash
# Builds the Debian package, and installs, runs, upgrades and purges it in a clean Debian root of its own.
#
# It needs root, Rust, Python, debootstrap and dpkg-dev, and a mirror of Debian. The root is made once, in target/bookworm. DEB
# names a package that has been built before.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly clean=target/bookworm mirror=${MIRROR:-http://deb.debian.org/debian}
readonly config=/etc/respgate/respgate.toml redis_port=46379 port=46380
# Nobody else's.
readonly dns_server=127.46.3.80

main() {
    [[ $(id -u) -eq 0 ]] || die "this needs root, for a Debian root of its own"
    local tool
    for tool in debootstrap dpkg-deb; do
        command -v "$tool" >/dev/null || die "please install what has $tool"
    done
    stage=$(mktemp -d)
    root=$stage/root
    trap end EXIT
    step "Build" build
    step "A clean Debian" make_root
    step "Contents" contents
    step "Install" install_it
    step "Configure, as docs/operations.md says" configure
    step "Start by hand, as the user respgate" start
    step "A tunnel, to names" tunnel_to_names
    step "Rotate the log" rotate
    step "Upgrade" upgrade
    step "Upgrade with a wrong configuration" upgrade_wrongly
    step "Remove and purge" purge
    printf '\nAll is well, in %d s\n' "$SECONDS"
}

end() {
    stop "${respgate:-}" "${redis:-}" "${dns:-}" "${tunnel:-}"
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf --one-file-system -- "$stage"
}

build() {
    if [[ -n ${DEB:-} ]]; then
        cp -- "$DEB" "$stage/respgate.deb"
    else
        deploy/debian/build.sh --output "$stage/respgate.deb"
    fi
    printf '%s: %d KiB, installed %d KiB\n' "$(dpkg-deb -f "$stage/respgate.deb" Version)" \
        "$(($(stat -c %s "$stage/respgate.deb") / 1024))" "$(dpkg-deb -f "$stage/respgate.deb" Installed-Size)"
    dpkg-deb -f "$stage/respgate.deb" Depends
}

make_root() {
    if [[ ! -x $clean/usr/bin/systemd-sysusers ]]; then
        rm -rf -- "$clean"
        debootstrap --variant=minbase --include=logrotate,redis-server,systemd-standalone-sysusers \
            bookworm "$clean" "$mirror" >"$stage/debootstrap.log" || { tail "$stage/debootstrap.log"; return 1; }
    fi
    cp -a -- "$clean" "$root"
    # respgate looks there for the memory of the machine and for its own limits.
    mount -t proc proc "$root/proc"
    cp -- "$stage/respgate.deb" "$root/tmp/respgate.deb"
    mkdir -p -- "$root/tmp/bin" "$root/run/systemd"
    echo "127.0.0.1 localhost in-hosts.test" >"$root/etc/hosts"
    echo "nameserver $dns_server" >"$root/etc/resolv.conf"
    list >"$stage/before"
}

# What is there, but for what no package is responsible for.
list() {
    (cd -- "$root" && find . -path ./proc -prune -o -path ./var/lib/dpkg -prune -o -path ./var/log/dpkg.log -prune -o \
        -path ./var/lib/logrotate -prune -o -path ./tmp -prune -o -print | sort)
}

contents() {
    dpkg-deb -c "$stage/respgate.deb" >"$stage/contents"
    local path
    for path in usr/bin/respgate usr/lib/systemd/system/respgate.service usr/lib/systemd/system/respgate@.service \
        usr/lib/systemd/system/respgate.socket usr/lib/systemd/system/respgate-tunnel.service usr/lib/sysusers.d/respgate.conf etc/logrotate.d/respgate \
        usr/share/man/man1/respgate.1.gz usr/share/man/man1/respgate-acl-explain.1.gz \
        usr/share/bash-completion/completions/respgate usr/share/zsh/vendor-completions/_respgate \
        usr/share/fish/vendor_completions.d/respgate.fish usr/share/doc/respgate/operations.md \
        usr/share/doc/respgate/copyright usr/share/doc/respgate/examples/respgate/respgate.toml; do
        grep -q " \./$path\$" "$stage/contents" || die "not in the package: $path"
    done
    ! grep -vE '^[dlrwx-]+ 0/0 ' "$stage/contents" || die "somebody else's than root's"
    dpkg-deb --fsys-tarfile "$stage/respgate.deb" | tar -xO ./usr/share/bash-completion/completions/respgate | bash -n
    # Its own changelog is CHANGELOG.md.
    ! command -v lintian >/dev/null ||
        lintian --allow-root --suppress-tags no-changelog,wrong-name-for-upstream-changelog "$stage/respgate.deb"
}

install_it() {
    in_root dpkg -i /tmp/respgate.deb
    [[ $(in_root stat -c '%U:%G %a' /etc/respgate) == "root:respgate 750" ]] || die "/etc/respgate is not as it should be"
    [[ -z $(ls -A "$root/etc/respgate") ]] || die "/etc/respgate is not empty"
    in_root respgate --version
}

configure() {
    in_root sh -euc '
        umask 077
        install -d -o respgate -g respgate -m 0750 /var/lib/respgate /var/log/respgate
        respgate cert --dir /root/ca ca
        respgate cert --dir /root/ca server localhost 127.0.0.1 --file server
        respgate cert --dir /root/ca client shop
        umask 027
        cd /etc/respgate
        cp /root/ca/server.crt /root/ca/server.key /root/ca/ca.crt .
        echo "user shop on ~shop:* +@all -@dangerous" >users.acl
        chgrp respgate * && chmod 0640 *
    ' >/dev/null
    cat >"$root$config" <<EOF
listen = "127.0.0.1:$port"
upstream = "127.0.0.1:$redis_port"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
log-file = "/var/log/respgate/respgate.log"
admin-listen = "/var/lib/respgate/admin.sock"
EOF
    in_root sh -c "chgrp respgate $config && chmod 0640 $config"
    as_respgate respgate check --config "$config" | tail -1
}

start() {
    chroot "$root" setpriv --reuid=redis --regid=redis --init-groups \
        redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir /tmp >/dev/null &
    redis=$!
    chroot "$root" env -i setpriv --reuid=respgate --regid=respgate --init-groups respgate run --config "$config" &
    respgate=$!
    until as_respgate respgate health --ready --config "$config" 2>/dev/null; do
        kill -0 "$respgate" || die "respgate has ended"
        sleep 0.1
    done
    [[ $(redis_cli PING) == PONG ]] || die "no PONG"
    [[ $(redis_cli FLUSHALL 2>&1) == *"blocked by respgate"* ]] || die "FLUSHALL was not refused"
    as_respgate respgate status --config "$config"
}

# The program is linked dynamically, so that names are what the modules of /etc/nsswitch.conf say.
tunnel_to_names() {
    in_root ldd /usr/bin/respgate | grep -q 'libc\.so' || die "the C library is not that of the host"
    in_root install -d -o respgate -g respgate -m 0750 /tmp/tunnel
    in_root install -o respgate -m 0600 /root/ca/ca.crt /root/ca/shop.crt /root/ca/shop.key /tmp/tunnel
    python3 tests/tunnel/dns.py "$dns_server" in-dns.test=127.0.0.1 &
    dns=$!
    through_tunnel in-hosts.test PONG
    through_tunnel in-dns.test PONG
    through_tunnel nobody.test 'Connection reset\|closed the connection'
    grep 'outcome="failed".* server=nobody.test:.* reason="name"' "$stage/tunnel" || die "the log does not say why"
    stop "$dns"
    dns=''
}

# through_tunnel HOST ANSWER: what an application is answered. An unknown name ends nothing.
through_tunnel() {
    local socket=/tmp/tunnel/redis.sock answer
    chroot "$root" env -i setpriv --reuid=respgate --regid=respgate --init-groups respgate tunnel \
        --listen="unix:$socket" --connect="$1:$port" --server-name=localhost --admin-listen=off \
        --tls-ca-cert-file=/tmp/tunnel/ca.crt --tls-cert-file=/tmp/tunnel/shop.crt --tls-key-file=/tmp/tunnel/shop.key \
        2>"$stage/tunnel" &
    tunnel=$!
    until [[ -S $root$socket ]]; do
        kill -0 "$tunnel" || { cat "$stage/tunnel"; die "the tunnel has ended"; }
        sleep 0.1
    done
    answer=$(in_root redis-cli -s "$socket" PING 2>&1) || true
    grep -q -- "$2" <<<"$answer" || { cat "$stage/tunnel"; die "through a tunnel to $1: $answer"; }
    printf '%s: %s\n' "$1" "$answer"
    kill -0 "$tunnel" || die "the tunnel has ended"
    stop "$tunnel"
    tunnel=''
}

rotate() {
    local log=$root/var/log/respgate/respgate.log
    in_root logrotate --force /etc/logrotate.d/respgate
    [[ ! -s $log && -s $log.1 ]] || die "the log was not rotated"
    kill -USR1 "$respgate"
    until [[ -s $log ]]; do redis_cli PING >/dev/null; sleep 0.1; done
    in_root stat -c '%U:%G %a %n' /var/log/respgate/respgate.log
}

upgrade() {
    pretend_systemd
    upgraded "+1" 2>"$stage/said"
    cat "$stage/said"
    [[ ! -s $stage/said ]] || die "an upgrade with nothing wrong has said something"
    grep -qx 'try-restart respgate.service' "$root/tmp/systemctl" || die "systemd was not asked to restart it"
    in_root dpkg-query -f '${Version} ${db:Status-Status}\n' -W respgate
}

upgrade_wrongly() {
    echo 'no-such-setting = 1' >>"$root$config"
    : >"$root/tmp/systemctl"
    upgraded "+2" 2>"$stage/said"
    grep -q no-such-setting "$stage/said" || die "the wrong setting was not named"
    sed 's/^/    /' "$stage/said"
    ! grep restart "$root/tmp/systemctl" || die "it was restarted all the same"
    [[ $(redis_cli PING) == PONG ]] || die "the old process does not go on"
}

# No systemd runs there: what it is asked is written down.
pretend_systemd() {
    mkdir -p -- "$root/run/systemd/system"
    printf '#!/bin/sh\necho "$@" >>/tmp/systemctl\n' >"$root/tmp/bin/systemctl"
    chmod +x -- "$root/tmp/bin/systemctl"
}

# Installs the same package as a later version.
upgraded() {
    local version
    version=$(dpkg-deb -f "$stage/respgate.deb" Version)
    dpkg-deb -R "$stage/respgate.deb" "$stage/later"
    sed -i "s/^Version: .*/Version: $version$1/" "$stage/later/DEBIAN/control"
    dpkg-deb -b "$stage/later" "$stage/later.deb" >/dev/null
    rm -rf -- "$stage/later"
    cp -- "$stage/later.deb" "$root/tmp/later.deb"
    in_root dpkg -i /tmp/later.deb
}

purge() {
    stop "$respgate" "$redis"
    respgate='' redis=''
    in_root dpkg --remove respgate
    grep -q '^stop .*respgate.service' "$root/tmp/systemctl" || die "systemd was not asked to stop it"
    rm -r -- "$root/run/systemd/system"
    [[ -e $root$config ]] || die "remove has taken the configuration away"
    in_root dpkg --purge respgate 2>"$stage/said"
    grep -q '/etc/respgate is not empty' "$stage/said" || die "that something is left was not said"
    [[ -e $root$config ]] || die "purge has taken files of the user away"
    echo "Left, with a configuration:"
    list | comm -13 "$stage/before" - | sed 's/^/    /'
    in_root rm -r /etc/respgate /var/log/respgate /root/ca
    in_root dpkg -i /tmp/respgate.deb 2>/dev/null
    in_root dpkg --purge respgate
    echo "Left, without one:"
    list | comm -13 "$stage/before" - | sed 's/^/    /'
    [[ ! -e $root/etc/respgate && ! -e $root/var/lib/respgate ]] || die "an empty folder was left"
}

in_root() {
    chroot "$root" env -i PATH=/tmp/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

as_respgate() {
    in_root runuser -u respgate -- "$@"
}

redis_cli() {
    in_root redis-cli -h 127.0.0.1 -p "$port" --tls --cacert /root/ca/ca.crt --cert /root/ca/shop.crt --key /root/ca/shop.key "$@"
}

stop() {
    local pid
    for pid in "$@"; do
        [[ -n $pid ]] || continue
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    done
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

die() {
    printf 'package: %s\n' "$*" >&2
    exit 1
}

main "$@"
