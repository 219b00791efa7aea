#!/usr/bin/env bash
# Builds `sonoplex train`: Burn's own arithmetic on the CPU, or with `tch` LibTorch's, which is eleven times as fast
# (its libraries come with PyTorch into a venv of their own: 3 GB), or with `cuda` for a GPU as well.
set -euo pipefail
cd "$(dirname "$0")/../train"

case "${1:-}" in
  "") cargo build --release ;;
  cuda) cargo build --release --features cuda ;;
  tch)
    venv=$PWD/.venv
    if [ ! -x "$venv/bin/python3" ] || ! "$venv/bin/python3" -c 'import torch' 2>/dev/null; then
      python3 -m venv "$venv"
      "$venv/bin/pip" install --quiet --disable-pip-version-check torch==2.9.1 numpy
    fi
    # tch 0.22 asks for 2.9.0 by number; 2.9.1 has the same interface
    PATH="$venv/bin:$PATH" LIBTORCH_USE_PYTORCH=1 LIBTORCH_BYPASS_VERSION_CHECK=1 cargo build --release --features tch
    ;;
  *)
    echo "train-build: expected nothing, tch or cuda, found '$1'" >&2
    exit 1
    ;;
esac
echo "built train/target/release/sonoplex-train; \`sonoplex train --help\` says how to use it"
