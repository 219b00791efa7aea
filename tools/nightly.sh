#!/usr/bin/env bash
# The slow checks: whether the committed PTX is what its sources give, whole frames through the model of the program in the
# emulation of a GPU (with real ones where SONOPLEX_SHARED says where they are), the kernels on an emulated ARM (where its packages
# are installed, see arm.sh), every fuzz target for a minute (needs cargo-fuzz and a nightly toolchain, or RUSTC_BOOTSTRAP=1).
set -uo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo-fuzz >/dev/null; then
  echo "nightly: installing cargo-fuzz"
  cargo install cargo-fuzz --locked --quiet || exit 1
fi
seconds=${SONOPLEX_FUZZ_SECONDS:-60}
passed=0
failed=0
echo "== PTX"
if tools/kernels.sh check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
echo "== the model of the program in the emulation of a GPU"
if SONOPLEX_NIGHTLY=1 cargo test --no-default-features --test it -- --nocapture masks_of_the_model; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
echo "== 64-bit ARM"
tools/arm.sh
case $? in
  0) passed=$((passed + 1)) ;;
  2) echo "skipped: 64-bit ARM" ;;
  *) failed=$((failed + 1)) ;;
esac
for target in ${SONOPLEX_FUZZ_TARGETS:-$(cd fuzz && cargo fuzz list)}; do
  echo "== fuzz $target, $seconds s"
  # openjp2 overflows a sum on damaged data where overflow is checked; the reader catches it, libFuzzer would not.
  mode=()
  [ "$target" = dicom ] && mode=(--release)
  # What is found new stays out of the committed seeds.
  found=target/found/$target
  mkdir -p "fuzz/$found"
  if (cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run "${mode[@]}" "$target" "$found" "corpus/$target" -- -max_total_time="$seconds" -rss_limit_mb=2048); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
