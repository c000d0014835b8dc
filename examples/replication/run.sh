#!/usr/bin/env bash
# A primary behind respgate and a replica on another host, in network namespaces, once through `respgate tunnel` and once with the
# TLS of Redis: starts them, proves that the replica follows through a cut link and a restart, that its certificate is good for
# nothing else, and that it follows no more once that is revoked; and stops them.
#
#     examples/replication/run.sh         as root; RESPGATE=FILE, or target/debug/respgate, which is built; SERVER as in lab.sh
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../lab.sh" replication
