#!/usr/bin/env bash
# Does what systemctl has systemd do, where none runs, by what the units say: their user, groups, folders and commands.
set -eu

main() {
    case $* in
        daemon-reload) systemd-analyze verify respgate.service ;;
        "restart redis-server") restart_redis ;;
        "enable --now respgate") start_respgate ;;
        *) echo "systemctl: $*?" >&2; exit 1 ;;
    esac
}

restart_redis() {
    local conf=/etc/redis/redis.conf pid=/run/redis/redis-server.pid
    if [[ -e $pid ]]; then
        kill "$(<"$pid")"
        while [[ -e $pid ]]; do sleep 0.05; done
    fi
    [[ $(setting redis-server.service RuntimeDirectory) == redis ]]
    install -d -o redis -g redis -m "$(setting redis-server.service RuntimeDirectoryMode)" /run/redis
    umask "$(setting redis-server.service UMask)"
    become redis-server.service redis-server "$conf" --daemonize yes --supervised no
    until [[ -e $pid ]] && timeout 1 redis-cli -s /run/redis/redis.sock PING >/dev/null 2>&1 ||
        timeout 1 redis-cli PING >/dev/null 2>&1; do sleep 0.05; done
}

start_respgate() {
    local folder command
    for folder in Runtime:run State:var/lib Logs:var/log; do
        install -d -o respgate -g respgate -m "$(setting respgate.service "${folder%:*}DirectoryMode")" \
            "/${folder#*:}/$(setting respgate.service "${folder%:*}Directory")"
    done
    umask "$(setting respgate.service UMask)"
    read -ra command <<<"$(setting respgate.service ExecStart)"
    become respgate.service "${command[@]}" >/var/log/respgate/respgate.log 2>&1 &
}

# become UNIT COMMAND…
become() {
    local user group more
    user=$(setting "$1" User) group=$(setting "$1" Group) more=$(setting "$1" SupplementaryGroups)
    if [[ -n $more ]]; then more=--groups=$more; else more=--clear-groups; fi
    setpriv --reuid="$user" --regid="$group" "$more" --no-new-privs --bounding-set=-all --inh-caps=-all "${@:2}"
}

# The last of a name counts, those of drop-ins among them.
setting() {
    cat -- "$(unit "$1")" "/etc/systemd/system/$1.d/"*.conf 2>/dev/null | sed -n "s/^$2=//p" | tail -1
}

unit() {
    ls "/etc/systemd/system/$1" "/usr/lib/systemd/system/$1" 2>/dev/null | head -1
}

main "$@"
