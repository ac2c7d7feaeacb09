# The front door for people; meson does the work. `make help` lists the targets.
#
# Variables: FILE=talk.mp3 (for demo), BUILD=folder, CC=compiler, JOBS=number.
BUILD ?= build
JOBS  ?= $(shell nproc 2>/dev/null || echo 2)
SETUP := $(if $(filter environment command line,$(origin CC)),CC='$(CC)') meson setup
NINJA  = ninja -C $(BUILD) -j $(JOBS)
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.PHONY: help build demo test check-long format clean install-deps

help:
	@echo 'make demo [FILE=talk.mp3]  install what is missing, build, transcribe recordings'
	@echo 'make test                  install what is missing, build, run the fast tests'
	@echo 'make build                 build the release: $(BUILD)/auricle'
	@echo 'make check-long            long tests, sanitizers, both compilers, every CPU level'
	@echo 'make format                lay out the C files (clang-format 14)'
	@echo 'make clean                 remove the build folders'
	@echo 'make install-deps          install what building and testing needs (apt-get)'

install-deps:
	@tools/install-deps.sh build test

$(BUILD)/build.ninja:
	@tools/install-deps.sh build test
	@$(SETUP) $(BUILD) --buildtype=release

build: $(BUILD)/build.ninja
	@$(NINJA)

demo: build
	@tools/demo.py $(BUILD)/auricle $(if $(FILE),'$(FILE)')

test: build
	@tools/install-sdk.sh
	@tools/run_tests.py $(BUILD) --suite fast

check-long: build
	@tools/install-deps.sh dev browser
	@tools/install-sdk.sh
	@tools/check_long.sh $(BUILD)

format:
	@files="$$(git ls-files '*.c' '*.h')"; tools/wrap_comments.py $$files; \
	clang-format-14 -i $$files

clean:
	rm -rf $(BUILD) build-asan build-clang build-fuzz
