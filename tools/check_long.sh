#!/bin/bash
# The slow checks of `make check-long`. Run as: check_long.sh BUILD_FOLDER
# Each part prints its own counts; the script goes on after a failure and ends with the parts that
# failed. Folders: BUILD_FOLDER (release), build-asan, build-clang, build-fuzz beside it.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
failed=()

part() { # title, command...
    local title=$1
    shift
    printf '\n== %s ==\n' "$title"
    "$@" || failed+=("$title")
}

configured() { # folder, meson options...: set the folder up once, then build it
    local folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" >/dev/null || return
    ninja -C "$folder" --quiet
}

sanitized() {
    configured build-asan --buildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false && tools/run_tests.py build-asan --suite fast --timeout-multiplier 6
}

with_clang() {
    CC=clang configured build-clang --buildtype=release && tools/run_tests.py build-clang --suite fast
}

# The engine honours AURICLE_CPU_LEVEL: the highest level of kernels it may choose.
at_level() {
    AURICLE_CPU_LEVEL=$1 tools/run_tests.py "$build" --suite fast
}

part 'long tests' tools/run_tests.py "$build" --suite long
part 'address and undefined-behaviour sanitizers' sanitized
if command -v clang >/dev/null; then
    part 'clang' with_clang
else
    printf '\n== clang ==\nclang is not installed: skipped (tools/install-deps.sh dev)\n'
fi
for level in generic avx2 avx512vnni amx; do
    part "kernels up to $level" at_level "$level"
done

printf '\n'
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
    exit 1
fi
echo 'all long checks passed'
