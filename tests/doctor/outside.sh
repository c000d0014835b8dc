#!/usr/bin/env bash
# Has `respgate doctor --from-outside` look from one network namespace at what listens in another: open and closed Redis,
# respgate, stunnel, HAProxy, others, nobody, and nothing at all. Each is said rightly, in time, and nobody else is contacted.
#
# It needs root, and installs Debian's packages where something is missing. RESPGATE names another respgate than
# target/debug/respgate, which is built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

export PATH=$PATH:/usr/sbin:/sbin
packages=()
for pair in ip=iproute2 iptables=iptables redis-server=redis-server redis-cli=redis-tools stunnel4=stunnel4 haproxy=haproxy \
    openssl=openssl python3=python3 unshare=util-linux; do
    command -v "${pair%=*}" >/dev/null || packages+=("${pair#*=}")
done
if [[ ${#packages[@]} -gt 0 ]]; then
    # None of them is to start as a service of this host.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
if [[ -z ${RESPGATE:-} ]]; then
    cargo build --locked --quiet
    RESPGATE=$PWD/target/debug/respgate
fi
stage=$(mktemp -d)
trap 'rm -rf -- "$stage"' EXIT
chmod 711 "$stage"
unshare --net --mount --pid --fork --kill-child --mount-proc python3 tests/doctor/outside.py "$RESPGATE" "$stage"
printf '\nAll is well, in %d s\n' "$SECONDS"
