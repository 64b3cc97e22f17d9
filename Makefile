# SPDX-License-Identifier: Apache-2.0
# A thin face over Meson and Ninja. `make run` and `make test` first install what is missing.
BUILD ?= build
ASAN ?= build-asan
TSAN ?= build-tsan

.PHONY: all setup run test packages soak asan tsan check format bench conformance clean

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

# What takes too long for each change: all server tests over a store that is far away, and worlds of dice.
soak: all asan
	@tools/test $(BUILD) $(ASAN) --only server --slow-store
	@ninja -C $(BUILD) --quiet src/flow/test_flow_simulation
	@LIMPET_FLOW_SEEDS=100000 $(BUILD)/src/flow/test_flow_simulation

check: setup
	@tools/check

format:
	@git ls-files '*.c' '*.h' 'src/store/*.def' | xargs clang-format-22 -i

bench: all
	@bench/run $(BUILD)

# A suite of others, from a folder: make conformance SUITE=../test262 [ARGS='--only built-ins/JSON']
conformance: all
	@tests/conformance/run $(BUILD) --suite $(SUITE) $(ARGS)

clean:
	rm -rf build build-*
