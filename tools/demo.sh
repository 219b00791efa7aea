#!/usr/bin/env bash
# The main job on a machine without any recording: a moving phantom, the network's mask and the phantom's truth.
# With a display it opens a window; without one it writes an annotated video, a picture sheet and a report.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${SONOPLEX_DEMO_DIR:-demo}
sonoplex=target/release/sonoplex
source=${SONOPLEX_DEMO_SOURCE:-phantom:seed=7,frames=240}
rm -rf "$out"
mkdir -p "$out"
mode=(--headless)
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && [ -z "${SONOPLEX_HEADLESS:-}" ]; then
  mode=()
  echo "demo: playing in a window; q quits, h shows the keys"
fi
"$sonoplex" replay "$source" "${mode[@]}" --record "$out/session" --sheet "$out/sheet.png" --json "$out/report.json"
echo
echo "demo: wrote"
[ -f "$out/session/annotated.mp4" ] && echo "  annotated video  $out/session/annotated.mp4"
echo "  picture sheet    $out/sheet.png"
echo "  report           $out/report.json   (sonoplex bench --explain defines every number)"
echo "  session          $out/session       (sonoplex replay --verify $out/session proves it bit for bit)"
