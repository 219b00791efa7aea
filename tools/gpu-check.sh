#!/usr/bin/env bash
# Checks the kernels on the GPU of this machine and times them; to be run in the folder that `make gpu-bundle` makes.
# Leaves gpu-check.json and gpu-check.log in the folder given, or in this one. Fails where a check fails; what is not there
# to be checked with is reported.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
log=$out/gpu-check.log
: >"$log"
failed=0
say() { echo "$@" | tee -a "$log"; }

[ -e "$here/sonoplex" ] || gunzip --keep "$here/sonoplex.gz" || failed=1
say "commit $(cat "$here/COMMIT"), $(date -u +%FT%TZ)"
smi() { command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu="$1" --format=csv,noheader | head -n 1; }
say "$(smi name,driver_version,memory.total,clocks.max.sm || echo "nvidia-smi is not there")"

say "== kernels against their CPU twins"
if SONOPLEX_GPU=1 "$here/kernels" --nocapture >>"$log" 2>&1; then kernels=passed; else kernels=failed failed=1; fi
say "$kernels"

sanitizer="not there"
if command -v compute-sanitizer >/dev/null; then
  sanitizer=passed
  for tool in memcheck racecheck; do
    say "== compute-sanitizer $tool"
    SONOPLEX_GPU=1 timeout 240 compute-sanitizer --tool "$tool" --error-exitcode 9 \
      "$here/kernels" kernels_on_the_device_once --exact >"$out/sanitizer-$tool.log" 2>&1
    status=$?
    tail -n 3 "$out/sanitizer-$tool.log" | tee -a "$log"
    if [ "$status" = 9 ]; then
      sanitizer=failed failed=1
    elif [ "$status" != 0 ]; then
      # A device may not let itself be watched.
      sanitizer="refused ($tool, exit $status)"
    fi
  done
fi
say "compute-sanitizer: $sanitizer"

say "== times"
if RUST_BACKTRACE=0 "$here/bench" "$out/bench.json" 2>&1 | tee -a "$log"; then bench=done; else bench=failed failed=1; fi

{
  printf '{\n"commit": "%s",\n"date": "%s",\n' "$(cat "$here/COMMIT")" "$(date -u +%F)"
  printf '"driver": "%s",\n' "$(smi driver_version)"
  printf '"kernels": "%s",\n"sanitizer": "%s",\n"bench": ' "$kernels" "$sanitizer"
  if [ "$bench" = done ] && [ -s "$out/bench.json" ]; then cat "$out/bench.json"; else echo null; fi
  echo '}'
} >"$out/gpu-check.json"
say "gpu-check: $([ "$failed" = 0 ] && echo passed || echo FAILED); $out/gpu-check.json"
exit "$failed"
