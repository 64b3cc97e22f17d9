#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# faces.sh CRATE TARGET OUT: the crate's faces (no Wasmtime), with coverage for libFuzzer, as a static library.
set -eu
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Ccodegen-units=1
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Coverflow-checks=on" \
    cargo build --quiet --locked --release --no-default-features --manifest-path "$1/Cargo.toml" \
    --target "$host" --target-dir "$2"
cp "$2/$host/release/liblimpet_deps.a" "$3"
