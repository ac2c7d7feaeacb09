#!/bin/bash
# The slow checks of `make check-long`. Run as: check_long.sh BUILD_FOLDER
# Each part prints its own counts; the script goes on after a failure and ends with the parts that
# failed. Folders: BUILD_FOLDER (release), build-asan, build-clang, build-fuzz beside it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
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

# Tests and program use no kernels above the level named here.
at_level() {
    AURICLE_CPU_LEVEL=$1 tools/run_tests.py "$build" --suite fast
}

# libFuzzer from the seeds, half a minute each; what it finds lies in build-fuzz as crash-*.
fuzzed() {
    CC=clang configured build-fuzz --buildtype=debugoptimized -Dfuzz=true || return
    local target name status=0
    for target in build-fuzz/fuzz/fuzz_*; do
        if [ ! -f "$target" ] || [ ! -x "$target" ]; then continue; fi
        name=${target##*/fuzz_}
        mkdir -p "build-fuzz/corpus/$name"
        "$target" -max_total_time=30 -max_len=16384 -rss_limit_mb=3000 \
            -artifact_prefix=build-fuzz/ "build-fuzz/corpus/$name" "build-fuzz/fuzz/seeds/$name" \
            >"build-fuzz/$name.log" 2>&1 || { tail -n 30 "build-fuzz/$name.log"; status=1; }
        printf '%-8s %s\n' "$name" "$(tail -n 1 "build-fuzz/$name.log")"
    done
    return $status
}

# The kernels of 64-bit ARM, alone: a static cross build under qemu, first as a processor with every
# extension, then as one without dot products.
on_arm() {
    configured build-arm --cross-file tools/cross/aarch64.ini --buildtype=release \
        -Dkernels_only=true || return
    QEMU_CPU=max tools/run_tests.py build-arm --suite kern --timeout-multiplier 3 &&
        QEMU_CPU=cortex-a57 tools/run_tests.py build-arm --suite kern --timeout-multiplier 3
}

part 'long tests' tools/run_tests.py "$build" --suite long
part 'address and undefined-behaviour sanitizers' sanitized
if command -v clang >/dev/null; then
    part 'clang' with_clang
    part 'fuzzing' fuzzed
else
    printf '\n== clang, fuzzing ==\nclang is not installed: skipped (tools/install-deps.sh dev)\n'
fi
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    part 'kernels of 64-bit ARM' on_arm
else
    printf '\n== kernels of 64-bit ARM ==\n'
    echo 'aarch64-linux-gnu-gcc or qemu-aarch64 is absent: skipped (tools/install-deps.sh dev)'
fi
levels=$("$build/auricle" doctor | sed -n 's/.*(usable: \(.*\)).*/\1/p' | tr -d ,)
for level in $levels; do
    part "kernels up to $level" at_level "$level"
done

printf '\n'
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
    exit 1
fi
echo 'all long checks passed'
