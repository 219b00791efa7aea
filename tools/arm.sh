#!/usr/bin/env bash
# The kernels and the engine on 64-bit ARM, emulated by QEMU: a processor with NEON alone, one that multiplies bytes, one
# that multiplies bytes of both kinds. On an ARM machine `make test` does the same without emulation.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
packages=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
for package in "${packages[@]}"; do
  if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
    echo "arm: needs the packages ${packages[*]}; install them with apt-get" >&2
    exit 2
  fi
done
rustup target add "$target" >/dev/null 2>&1 || { echo "arm: rustup cannot add the target $target" >&2; exit 1; }
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
test=(cargo test --no-default-features --target "$target" --test it)
"${test[@]}" --no-run
for cpu in cortex-a57 cortex-a76 max; do
  echo "== $cpu"
  QEMU_CPU=$cpu "${test[@]}" -- kernels_ --skip emulated "$@"
done
echo "== max: the engine"
QEMU_CPU=max "${test[@]}" -- engine_ --skip mutations "$@"
