#!/usr/bin/env bash
# A cluster of six nodes with a respgate each, in network namespaces: starts it, proves with redis-py and redis-cli over mutual
# TLS that applications find their way, while slots are moved and a primary is killed, that the ACL holds on every node, and
# stops it.
#
#     examples/cluster/run.sh             as root; RESPGATE=FILE, or target/debug/respgate, which is built
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../lab.sh" cluster
