# SPDX-License-Identifier: MIT
# A façade over the CMake presets: `make` builds what ships, `make test` tests the dev build.
# J says how many jobs may run at a time.
J ?= $(shell nproc)
PREFIX ?= /usr/local
# The presets name Ninja; make does as well.
GENERATOR := $(if $(shell command -v ninja),,-G "Unix Makefiles")
PRESETS := dev asan tsan hard long fuzz cover release

.PHONY: all test lint check install clean format map $(PRESETS) $(PRESETS:%=test-%)

# What is installed; `make release` builds tests and benchmarks, too.
all: SHIPPED := --target weir libweir libweir-host
all: release

$(PRESETS):
	@test -f build/$@/CMakeCache.txt || cmake --preset $@ $(GENERATOR)
	cmake --build --preset $@ -j$(J) $(SHIPPED)

$(PRESETS:%=test-%): test-%: %
	ctest --preset $* -j$$((2 * $(J)))

test: test-dev

check:
	./check

lint: dev
	tools/lint build/dev
	ctest --preset dev -L lint

map:
	tools/rfcmap

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build
