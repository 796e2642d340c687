# A thin front for CMake presets (CMakePresets.json) and scripts. `make help` lists everything.
.DEFAULT_GOAL := help
.PHONY: help build test run debug asan tsan coverage arm64 avx512 vm soak repeats draws bench edit-loop \
        format format-check tidy clang-tidy clean

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# A third of their time tests wait: for processes, for the disk.
TEST_JOBS ?= $(shell echo $$(($(JOBS) + 1)))
CTEST = ctest -j $(TEST_JOBS)
SOURCES = find src tests bench -name '*.[ch]'
FORMAT ?= clang-format-14

help: ## list everything that make can do
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r target text; do printf '%-20s %s\n' "$$target" "$$text"; done

build: ## build the program: build/beaver
	@scripts/install build
	@[ -f build/build.ninja ] || cmake --preset release
	@cmake --build build --target beaver -j $(JOBS)

test: ## build everything and run all tests
	@scripts/install build test
	@cmake --preset release
	@cmake --build build -j $(JOBS)
	@$(CTEST) --test-dir build --output-on-failure

run: ## train a small GPT on real text in about two minutes, and talk to it
	@scripts/install build run
	@$(MAKE) --no-print-directory build
	@scripts/run-demo

debug: ## build without optimization: build/debug/beaver
	@scripts/install build test
	@cmake --preset debug && cmake --build --preset debug -j $(JOBS)

asan: ## run the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/install build test
	@cmake --preset asan && cmake --build --preset asan -j $(JOBS)
	@$(CTEST) --preset asan -LE slow

# Addresses are not randomized: older thread sanitizers stumble over some kernels.
tsan: ## run the threaded tests under ThreadSanitizer
	@scripts/install build test
	@cmake --preset tsan && cmake --build --preset tsan -j $(JOBS)
	@$$(setarch -R true 2>/dev/null && echo setarch -R) $(CTEST) --preset tsan -L '^(base|kernel|text|nn|engine|train|http|store)$$' -LE slow

coverage: ## run the tests and count executed lines (gcov files in build/coverage)
	@scripts/install build test
	@cmake --preset coverage && cmake --build --preset coverage -j $(JOBS)
	@$(CTEST) --preset coverage -LE slow

arm64: ## cross-compile for 64-bit Arm and run the fast tests under qemu (TESTS=REGEX: some)
	@scripts/install build test arm64
	@cmake --preset arm64 && cmake --build --preset arm64 -j $(JOBS)
	@$(CTEST) --preset arm64 -LE slow $(if $(TESTS),-R '$(TESTS)')

avx512: ## run the tests of kernels and models with AVX-512 made of AVX2's instructions
	@scripts/install build test avx512
	@cmake --preset avx512-emulated
	@cmake --build --preset avx512-emulated -j $(JOBS) --target tests_kernel tests_model tests_engine
	@$(CTEST) --preset avx512-emulated -L '^(kernel|model|engine)$$'

vm: ## run the sandbox's tests on other kernels, with control groups of version 2 (20 minutes)
	@tests/vm/run

RUNS ?= 100000
soak: ## run programs RUNS times in boxes and look for what is left (about 15 minutes)
	@scripts/install build test
	@cmake --preset release
	@cmake --build build --target test_arena_soak -j $(JOBS)
	@BEAVER_SOAK=$(RUNS) build/test_arena_soak

REPEATS ?= 1000
repeats: ## try each limit REPEATS times at 0.8 and at 1.25 of it: no verdict may flip
	@scripts/install build test
	@cmake --preset release
	@cmake --build build --target test_arena_limits -j $(JOBS)
	@BEAVER_REPEATS=$(REPEATS) build/test_arena_limits

DRAWS ?= 300
SEED ?= $(shell date +%s)
draws: ## train DRAWS random settings in every way that must give the same bits (10 minutes)
	@scripts/install build test
	@cmake --preset release
	@cmake --build build -j $(JOBS) \
	    --target test_train_any_settings test_report_estimate test_cli_refused
	@export BEAVER_DRAWS=$(DRAWS) BEAVER_SEED=$(SEED) && build/test_train_any_settings && \
	    build/test_report_estimate && BEAVER_DRAWS=20 build/test_cli_refused

bench: build ## this machine's limits, and Beaver's share of them
	@build/beaver bench limits
	@build/beaver bench kernels

edit-loop: ## how long an edit takes until its test has run: an op, kernels, the tokenizers
	@scripts/install build test
	@scripts/edit-loop

format: ## format all C files
	@scripts/install format
	@$(SOURCES) | xargs $(FORMAT) -i

format-check: ## fail if a C file is not formatted
	@scripts/install format
	@$(SOURCES) | xargs $(FORMAT) --dry-run -Werror

tidy: ## check the rules of the house (lengths, banned calls, room order, dead files)
	@scripts/install test
	@python3 tests/tidy/tidy.py .

clang-tidy: ## run clang-tidy over src/
	@scripts/install build tidy
	@[ -f build/compile_commands.json ] || cmake --preset release
	@find src -name '*.c' -not -path 'src/kernel/lanes/*' | xargs clang-tidy-14 -p build --quiet

clean: ## remove build/
	@rm -rf build
