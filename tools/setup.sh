#!/usr/bin/env bash
# Installs what a Debian or Ubuntu machine lacks, and says what. `setup.sh build` for the program, `setup.sh test` for
# the tests as well (a virtual display, a Python venv with the readers that the tests compare with).
set -euo pipefail
cd "$(dirname "$0")/.."

build=(pkg-config gcc libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-tools gstreamer1.0-plugins-base
  gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
  clang libclang-dev libx11-dev libxkbcommon-dev libwayland-dev libxcursor-dev)
test=(g++ xvfb xdotool imagemagick python3 python3-venv)

if ! command -v cargo >/dev/null; then
  echo "setup: no cargo found; install Rust first (https://rustup.rs), then run this again" >&2
  exit 1
fi

want=("${build[@]}")
[ "${1:-build}" = test ] && want+=("${test[@]}")

missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${want[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
else
  echo "setup: this is not Debian or Ubuntu; install the equivalents of: ${want[*]}"
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing with apt-get: ${missing[*]}"
  root=()
  if [ "$(id -u)" != 0 ]; then
    root=(sudo)
    if ! command -v sudo >/dev/null; then
      echo "setup: neither root nor sudo; run this as root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
  fi
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ "${1:-build}" = test ]; then
  pins=tests/oracles/requirements.txt
  if ! cmp -s "$pins" .venv/installed.txt; then
    echo "setup: making .venv with the pinned readers of $pins"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r "$pins"
    cp "$pins" .venv/installed.txt
  fi
fi
echo "setup: everything is there"
