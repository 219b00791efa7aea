#!/usr/bin/env bash
# One folder with all that the GPU check needs, target/gpu-bundle: copy it to a machine with an NVIDIA driver and run
# ./gpu-check.sh there. Nothing is built on that machine.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/gpu-bundle
rm -rf "$to"
mkdir -p "$to/models"
# The path of what cargo has built of this kind, from its messages.
built() {
  local kind=$1
  shift
  cargo "$@" --release --no-default-features --message-format=json-render-diagnostics |
    grep -F "\"kind\":[\"$kind\"]" | sed -nE 's/.*"executable":"([^"]+)".*/\1/p' | tail -n 1
}
cp "$(built bin build --bin sonoplex)" "$to/sonoplex"
cp "$(built test test --test gpu --no-run)" "$to/kernels"
cp "$(built bench build --bench cuda)" "$to/bench"
strip "$to/sonoplex" "$to/kernels" "$to/bench"
# All that travels is to stay under 30 MB: in one archive the model and the kernels that all three have are stored once.
# gpu-check.sh unpacks it.
tar -C "$to" --remove-files -cf - sonoplex kernels bench | xz -6 --lzma2=preset=6,dict=128MiB >"$to/programs.tar.xz"
cp models/nerve-vessel.onnx "$to/models/"
cp tools/gpu-check.sh "$to/"
cp benches/peers/gpu.py "$to/peers.py"
# Real frames, where they are at hand; they stay in this folder and in no repository.
if [ -d "${SONOPLEX_SHARED:-../shared}/data/usgra_seg" ]; then
  mkdir "$to/frames"
  find "${SONOPLEX_SHARED:-../shared}/data/usgra_seg" -path '*image*' -name '*.png' | sort | awk 'NR % 16 == 0' | xargs -I{} cp {} "$to/frames/"
fi
{ git rev-parse HEAD && { git diff --quiet HEAD || echo "with changes"; }; } | paste -sd ' ' >"$to/COMMIT"
size=$(du -sm "$to" | cut -f1)
echo "gpu-bundle: $to, $size MB of commit $(cat "$to/COMMIT")"
if [ "$size" -gt 30 ]; then
  echo "gpu-bundle: more than 30 MB" >&2
  exit 1
fi
