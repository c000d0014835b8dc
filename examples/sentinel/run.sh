#!/usr/bin/env bash
# Three hosts, each with a Redis, a Sentinel, and a respgate before either, in network namespaces: starts them, proves with
# redis-py over mutual TLS that an application follows two failovers and that no Redis is reached in any other way, and
# stops them.
#
#     examples/sentinel/run.sh            as root; RESPGATE=FILE, or target/debug/respgate, which is built
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../lab.sh" sentinel
