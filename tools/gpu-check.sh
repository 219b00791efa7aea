#!/usr/bin/env bash
# Checks the kernels on the GPU of this machine and times them; to be run in the folder that `make gpu-bundle` makes:
#
#   gpu-check.sh [FOLDER] [PART…]      parts: kernels, times, pytorch, int8, streams, sanitizer; all without one named
#
# Leaves gpu-check.json and gpu-check.log in FOLDER, or in this one; each call begins them anew. The JSON is written after each
# part, so that what was found is there when the rest is cut off. Fails where a check fails; what is not there to be checked
# with is reported.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
[ $# = 0 ] || shift
parts=("$@")
known="kernels times pytorch int8 streams sanitizer"
for part in "${parts[@]}"; do
  [[ " $known " == *" $part "* ]] || { echo "gpu-check: expected a part of: $known; found '$part'" >&2; exit 1; }
done
mkdir -p "$out"
log=$out/gpu-check.log
: >"$log"
failed=0
say() { echo "$@" | tee -a "$log"; }
rm -f "$out/bench.json" "$out/peers.json" "$out"/streams*.json "$out"/int8-*.json

if [ ! -e "$here/sonoplex" ]; then
  tar -C "$here" -xJf "$here/programs.tar.xz" 2>/dev/null ||
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/programs.tar.xz" "$here" ||
    { echo "gpu-check: cannot unpack programs.tar.xz: install xz or python3" >&2; exit 1; }
fi
say "commit $(cat "$here/COMMIT"), $(date -u +%FT%TZ)"
smi() { command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu="$1" --format=csv,noheader | head -n 1; }
say "$(smi name,driver_version,memory.total,clocks.max.sm || echo "nvidia-smi is not there")"

kernels="not run" sanitizer="not run"
int8=()

# What was found so far.
write() {
  {
    printf '{\n"commit": "%s",\n"date": "%s",\n' "$(cat "$here/COMMIT")" "$(date -u +%F)"
    printf '"driver": "%s",\n' "$(smi driver_version)"
    printf '"kernels": "%s",\n"sanitizer": "%s",\n"bench": ' "$kernels" "$sanitizer"
    json() { if [ -s "$1" ]; then cat "$1"; else echo null; fi; }
    json "$out/bench.json"
    printf ',\n"pytorch": '
    json "$out/peers.json"
    printf ',\n"int8": ['
    for report in "${int8[@]}"; do
      [ "$report" = "${int8[0]}" ] || printf ','
      json "$report"
    done
    printf ']'
    printf ',\n"streams": '
    json "$out/streams-on.json"
    printf ',\n"streams_without_early_start": '
    json "$out/streams-off.json"
    printf ',\n"one_frame_ms": { "cold": %s, "warm": %s }\n}\n' "${cold:-null}" "${warm:-null}"
  } >"$out/gpu-check.json"
}
# part NAME: whether it is to be run; what came before is written.
part() {
  write
  [ ${#parts[@]} = 0 ] || [[ " ${parts[*]} " == *" $1 "* ]]
}

if part kernels; then
  say "== kernels against their CPU twins"
  if SONOPLEX_GPU=1 "$here/kernels" --nocapture >>"$log" 2>&1; then
    kernels=passed
  else
    kernels=failed failed=1
    # A kernel that faults takes all that run beside it along: one after the other, the first to fail is the one.
    say "again, one after the other"
    SONOPLEX_GPU=1 timeout 120 "$here/kernels" --nocapture --test-threads=1 >>"$log" 2>&1
    grep -a '^test .*FAILED\|panicked at' "$log" | head -n 20
  fi
  say "$kernels"
fi

if part times; then
  say "== times"
  frames=()
  [ -d "$here/frames" ] && frames=("$here/frames")
  RUST_BACKTRACE=0 "$here/bench" "$out/bench.json" "${frames[@]}" 2>&1 | tee -a "$log"
  [ "${PIPESTATUS[0]}" = 0 ] || failed=1
fi

if part pytorch; then
  say "== the same network in PyTorch"
  if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    timeout 240 python3 "$here/peers.py" "$out/peers.json" 2>&1 | tee -a "$log" || say "PyTorch failed"
  else
    say "PyTorch is not there, or sees no device"
  fi
fi

if part int8; then
  # Bytes where they cost no more than the bar allows, on the phantom and on real frames: masks against fp32, and the time.
  say "== plans of bytes"
  specs=("phantom:seed=3,size=580x420,frames=32")
  [ -d "$here/frames" ] && specs+=("$here/frames")
  for spec in "${specs[@]}"; do
    report=$out/int8-${#int8[@]}.json
    int8+=("$report")
    "$here/sonoplex" build "$here/models/nerve-vessel.onnx" -o "$out/int8.plan" --device cuda:0 --precision int8 --budget 0.995 \
      --calibrate "$spec" --json "$report" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failed=1
  done
  rm -f "$out/int8.plan"
fi

if part streams; then
  say "== several streams at once, and the time to a first mask"
  # Blocks that wait on the device take room from other streams.
  for start in on off; do
    say "kernels start early: $start"
    SONOPLEX_EARLY_START=$start "$here/sonoplex" bench -v --device cuda:0 --streams 8 --frames 5000 --warm-up 200 --despeckle srad \
      --json "$out/streams-$start.json" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failed=1
  done
  # What the driver compiles it keeps in a folder, which is empty the first time.
  cache=$(mktemp -d)
  for start in cold warm warm; do
    begun=$(date +%s%N)
    CUDA_CACHE_PATH=$cache "$here/sonoplex" replay phantom:seed=1,size=580x420,frames=1 --headless --device cuda:0 >>"$log" 2>&1 || failed=1
    ms=$((($(date +%s%N) - begun) / 1000000))
    say "from start to end of a run of one frame, $start: $ms ms"
    case $start in cold) cold=$ms ;; warm) warm=$ms ;; esac
  done
  rm -rf "$cache"
fi

# Last, since it is slow and a device may not let itself be watched.
if part sanitizer; then
  sanitizer="not there"
  if command -v compute-sanitizer >/dev/null; then
    sanitizer=passed
    for tool in memcheck racecheck; do
      say "== compute-sanitizer $tool"
      watched=$out/sanitizer-$tool.log
      options=(--tool "$tool" --error-exitcode 9)
      # What the driver refuses is told by whoever asked.
      [ "$tool" = racecheck ] || options+=(--report-api-errors no)
      SONOPLEX_GPU=1 timeout 240 compute-sanitizer "${options[@]}" \
        "$here/kernels" kernels_on_the_device_once --exact >"$watched" 2>&1
      status=$?
      tail -n 3 "$watched" | tee -a "$log"
      # What it has found counts, however it ended; but not that it cannot watch.
      if grep -q 'Device not supported' "$watched"; then
        sanitizer="refused ($tool: device not supported)"
      elif [ "$status" = 9 ] || grep -Eq '========= (Invalid|Misaligned|Error:|Warning: Race|Program hit)' "$watched"; then
        sanitizer="failed ($tool)" failed=1
        break
      elif [ "$status" = 124 ]; then
        sanitizer="not done in 240 s ($tool), nothing found until then"
      elif [ "$status" != 0 ]; then
        sanitizer="refused ($tool, exit $status)"
      fi
    done
  fi
  say "compute-sanitizer: $sanitizer"
fi

write
say "gpu-check: $([ "$failed" = 0 ] && echo passed || echo FAILED); $out/gpu-check.json"
exit "$failed"
