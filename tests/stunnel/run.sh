#!/usr/bin/env bash
# Takes three stunnel.conf as people write them, and runs stunnel with each, and respgate with what `respgate check --stunnel-conf` makes
# of it, in turn: the same clients get in, and the same do not.
#
# It installs Debian's packages where something is missing. RESPGATE names another respgate than target/debug/respgate, which is
# built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

packages=()
for pair in redis-server=redis-server redis-cli=redis-tools stunnel4=stunnel4 openssl=openssl python3=python3; do
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
python3 -B tests/stunnel/play.py "$RESPGATE" "$stage"
printf '\nAll is well, in %d s\n' "$SECONDS"
