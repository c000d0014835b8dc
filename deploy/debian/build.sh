#!/usr/bin/env bash
# Builds the Debian package, and prints where it is. Arguments go to cargo-deb, such as --deb-version 0.1.0-2.
#
# It needs Rust, dpkg-dev and cargo-deb, which is installed into target/tools where it is missing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly cargo_deb=3.8.0
readonly respgate=${CARGO_TARGET_DIR:-target}/release/respgate

[[ $(target/tools/bin/cargo-deb --version 2>/dev/null) == *"$cargo_deb" ]] ||
    cargo install --quiet --locked --root target/tools "cargo-deb@$cargo_deb"
cargo build --locked --release --quiet

# The pages and completions are of the program that was just built.
readonly made=target/package
rm -rf -- "$made"
mkdir -p -- "$made/man"
"$respgate" man "$made/man"
for shell in bash zsh fish; do
    "$respgate" completions "$shell" >"$made/$shell"
done

target/tools/bin/cargo-deb --quiet --no-build --locked "$@"
