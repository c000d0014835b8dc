#!/usr/bin/env bash
# Installs what the tests need and runs all of them. This is what CI runs.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

readonly redis_py=8.1.0 prometheus_client=0.26.0
readonly venv=target/test-venv

main() {
    install_missing
    make_venv
    step "Format" cargo fmt --check
    step "Lints" cargo clippy --locked --all-targets -- -D warnings
    export RESPGATE_TEST_PYTHON=$PWD/$venv/bin/python
    # Most of them wait for something, most of the time.
    RUST_TEST_THREADS=$((2 * $(nproc))) step "Tests" cargo test --locked
    step "Links in the documents" check_links README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs/*.md
    printf '\nAll passed in %d s\n' "$SECONDS"
}

install_missing() {
    local packages=() as_root=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v redis-cli >/dev/null || packages+=(redis-tools)
    command -v openssl >/dev/null || packages+=(openssl)
    command -v jq >/dev/null || packages+=(jq)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs, then run this again"
    [[ ${#packages[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "please install: ${packages[*]}"
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${packages[@]}"
}

make_venv() {
    local versions="('$redis_py', '$prometheus_client')"
    "$venv/bin/python" -c "from importlib.metadata import version as v
assert (v('redis'), v('prometheus-client')) == $versions" 2>/dev/null && return
    # What a moved or half-made folder left behind would not start.
    rm -rf -- "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "redis==$redis_py" "prometheus-client==$prometheus_client"
}

# Every relative link of a document leads to a file.
check_links() {
    local document target broken=0
    for document in "$@"; do
        while IFS= read -r target; do
            [[ -e $(dirname -- "$document")/$target ]] && continue
            printf '%s: no such file: %s\n' "$document" "$target" >&2
            broken=1
        done < <(grep -oE '\]\([^)#]+' "$document" | cut -c 3- | grep -vE '^[a-z]+:')
    done
    return "$broken"
}

step() {
    printf '\n== %s\n' "$1"
    "${@:2}"
}

die() {
    printf 'test: %s\n' "$*" >&2
    exit 1
}

main "$@"
