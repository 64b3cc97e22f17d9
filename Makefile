# SPDX-License-Identifier: Apache-2.0
# A thin face over Meson and Ninja. `make run` and `make test` first install what is missing.
BUILD ?= build
ASAN ?= build-asan
MESON = meson setup --reconfigure
SETUP_ARGS =

.PHONY: all setup run test unit asan tsan check format bench clean

all: setup
	@tools/build $(BUILD) release

setup:
	@tools/setup

run: all
	@tools/run $(BUILD)

asan: setup
	@tools/build $(ASAN) asan

test: all asan
	@tools/test $(BUILD) $(ASAN)

check: setup
	@tools/check

format:
	@git ls-files '*.c' '*.h' | xargs clang-format-22 -i

bench: all
	@bench/run $(BUILD)

clean:
	rm -rf build build-*
