#!/usr/bin/env bash
# A user of respgate with `learn-file` makes up ten million shapes of keys: what that does to memory, to the file and to the line
# that is suggested, and what 100,000 a second do to the requests of another user.
#
#     tests/learn/hostile.sh [shapes|bystander]       only one of the two
#
# It takes some minutes, redis-server, openssl and python3. RESPGATE names another respgate than target/release/respgate, which is
# built first.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

if [[ -z ${RESPGATE:-} ]]; then
    cargo build --locked --release --quiet
    RESPGATE=$PWD/target/release/respgate
fi
export RESPGATE PYTHONDONTWRITEBYTECODE=1
for part in ${1:-shapes bystander}; do
    case $part in
        shapes) python3 tests/learn/hostile.py ;;
        bystander) python3 tests/learn/bystander.py ;;
        *) echo "no such part: $part" >&2; exit 64 ;;
    esac
done
printf '\nAll is well, in %d s\n' "$SECONDS"
