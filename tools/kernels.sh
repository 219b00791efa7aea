#!/usr/bin/env bash
# Compiles the CUDA kernels with the pinned compiler in a venv of its own; `kernels.sh check` compares only.
set -euo pipefail
cd "$(dirname "$0")/.."
pins=kernels/requirements.txt
venv=target/kernels-venv
if ! cmp -s "$pins" "$venv/installed.txt"; then
  echo "kernels: making $venv with the compiler of $pins"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$pins"
  cp "$pins" "$venv/installed.txt"
fi
"$venv/bin/python" tools/kernels.py "${1:-write}"
