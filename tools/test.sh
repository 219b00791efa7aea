#!/usr/bin/env bash
# Everything that a commit must pass: format, lints, documentation, tests with and without the default features.
# The last line counts the tests.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failures=0
stage() {
  local name=$1
  shift
  echo "== $name"
  "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  if [ "$status" -ne 0 ]; then
    echo "== $name FAILED (exit $status)"
    failures=$((failures + 1))
  fi
}

stage format cargo fmt --check
stage tests cargo test
# The kernels are the same ones: their emulation, a third of all time, has been through above.
stage "tests without video, camera and window" cargo test --no-default-features -- --skip=kernels_emulated
stage lints cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" stage documentation cargo doc --no-deps --quiet
trainer=(--manifest-path train/Cargo.toml)
stage "format of the trainer" cargo fmt "${trainer[@]}" --check
# Teachers need the tuned kernels, tests do not, and building these takes minutes.
trainer+=(--config profile.release.package.sonoplex.opt-level=1)
stage "tests of the trainer" cargo test --release "${trainer[@]}"
if [ -x train/.venv/bin/python3 ]; then
  export LIBTORCH_USE_PYTORCH=1 LIBTORCH_BYPASS_VERSION_CHECK=1
  PATH="$PWD/train/.venv/bin:$PATH" stage "tests of the trainer on LibTorch" cargo test --release "${trainer[@]}" --features tch
else
  echo "skipped: the trainer on LibTorch, which \`tools/train-build.sh tch\` installs" | tee -a "$log"
fi
stage "lints of the trainer" cargo clippy --release "${trainer[@]}" --all-targets -- -D warnings

passed=$(sed -nE 's/^test result: [a-zA-Z]+\. ([0-9]+) passed.*/\1/p' "$log" | awk '{s+=$1} END {print s+0}')
failed=$(sed -nE 's/^test result: .* ([0-9]+) failed;.*/\1/p' "$log" | awk '{s+=$1} END {print s+0}')
skipped=$(grep -c '^skipped: ' "$log")
[ "$skipped" -gt 0 ] && { echo "== left out here:"; grep '^skipped: ' "$log" | sort -u; }
[ "$failures" -gt "$failed" ] && failed=$failures
echo "$passed passed, $failed failed"
[ "$failures" -eq 0 ] && [ "$passed" -gt 0 ]
