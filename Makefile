# Two commands do all set-up on a fresh Debian or Ubuntu machine with Rust: `make demo` and `make test`.
.PHONY: help demo build test nightly setup kernels gpu-bundle

help:
	@echo "make demo        build, replay a moving phantom with the nerve found in every frame"
	@echo "make test        format, lints, docs and all tests (installs what they need)"
	@echo "make build       the release binary, target/release/sonoplex"
	@echo "make kernels     the CUDA kernels to PTX, with a compiler of its own (no GPU, no toolkit)"
	@echo "make gpu-bundle  one folder to check and time the kernels on a machine with a GPU"
	@echo "make nightly     the slow checks: an emulated ARM, and fuzzing, a minute a parser"

setup:
	@tools/setup.sh build

build: setup
	cargo build --release

demo: build
	@tools/demo.sh

test:
	@tools/setup.sh test
	@tools/test.sh

kernels:
	@tools/kernels.sh

gpu-bundle:
	@tools/gpu-bundle.sh

nightly:
	@tools/setup.sh test
	@tools/nightly.sh
