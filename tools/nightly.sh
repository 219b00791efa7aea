#!/usr/bin/env bash
# The slow checks: every fuzz target for a minute (needs cargo-fuzz and a nightly toolchain, or RUSTC_BOOTSTRAP=1).
set -uo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo-fuzz >/dev/null; then
  echo "nightly: installing cargo-fuzz"
  cargo install cargo-fuzz --locked --quiet || exit 1
fi
seconds=${SONOPLEX_FUZZ_SECONDS:-60}
passed=0
failed=0
for target in $(cd fuzz && cargo fuzz list); do
  echo "== fuzz $target, $seconds s"
  if (cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=0); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
