# SPDX-License-Identifier: Apache-2.0
# A thin face over Meson and Ninja. `make run` and `make test` first install what is missing.
BUILD ?= build
ASAN ?= build-asan
TSAN ?= build-tsan

.PHONY: all setup run test packages asan tsan check format bench conformance clean

all: setup
	@tools/build $(BUILD) release

setup:
	@tools/setup

run: all
	@tools/run $(BUILD)

asan: setup
	@tools/build $(ASAN) asan

# Only what threads share is worth the thread sanitizer; it does not know Wasmtime's fibers.
tsan: setup
	@tools/build $(TSAN) tsan

test: all asan tsan
	@tools/test $(BUILD) $(ASAN) --tsan $(TSAN)

# Programs over the packages that CI does not install.
packages: all
	@tools/test $(BUILD) $(ASAN) --only packages --plain

check: setup
	@tools/check

format:
	@git ls-files '*.c' '*.h' | xargs clang-format-22 -i

bench: all
	@bench/run $(BUILD)

# A suite of others, from a folder: make conformance SUITE=../test262 [ARGS='--only built-ins/JSON']
conformance: all
	@tests/conformance/run $(BUILD) --suite $(SUITE) $(ARGS)

clean:
	rm -rf build build-*
