#!/bin/sh
# Installs what auricle needs and this machine lacks.
# Run as: install-deps.sh [build] [test] [dev] [training] [browser]
#   build  what it takes to build and run the program (the default)
#   test   what `make test` needs beyond that
#   dev    clang, clang-format 14, ccache, valgrind, a compiler and an emulator for 64-bit ARM
#   training  what training the bundled models needs, and its tests
#   browser  Chromium and ffmpeg, for the test of the page
# Each part is looked for by what it provides (a command, a pkg-config module), so libraries that
# came another way count too. Packages come from apt (Debian 12, Ubuntu 24.04), as root or with
# sudo. Where everything is there nothing is done, on any system.
set -eu

missing=''

need_command() { # command package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need_library() { # pkg-config module, package
    if ! command -v pkg-config >/dev/null 2>&1 || ! pkg-config --exists "$1"; then
        missing="$missing $2"
    fi
}

need_python() { # module, package
    /usr/bin/python3 -c "import $1" 2>/dev/null || missing="$missing $2"
}

need_build() {
    if ! command -v cc >/dev/null 2>&1 && [ -z "${CC:-}" ]; then
        missing="$missing gcc"
    fi
    # Headers of the C library: a compiler alone does not bring them.
    printf '#include <stdio.h>\n' | ${CC:-cc} -E - >/dev/null 2>&1 || missing="$missing libc6-dev"
    need_command meson meson
    need_command ninja ninja-build
    need_command pkg-config pkg-config
    need_library jansson libjansson-dev
    need_library libutf8proc libutf8proc-dev
    need_library zlib zlib1g-dev
    need_library nettle nettle-dev
    need_library libcurl libcurl4-openssl-dev
    need_library libmicrohttpd libmicrohttpd-dev
    need_library gnutls libgnutls28-dev
    [ -e /usr/include/wslay/wslay.h ] || missing="$missing libwslay-dev"
    need_library libseccomp libseccomp-dev
    need_library sndfile libsndfile1-dev
    need_library soxr libsoxr-dev
    need_library libavcodec libavcodec-dev
    need_library libavformat libavformat-dev
    need_library libavutil libavutil-dev
    need_library grpc libgrpc-dev
    need_library libprotobuf-c libprotobuf-c-dev
    need_command protoc-c protobuf-c-compiler
}

need_test() {
    need_library cmocka libcmocka-dev
    need_command python3 python3
    need_command openssl openssl
    need_command nm binutils
    need_command openssl openssl
    need_python grpc python3-grpcio
    need_python google.protobuf python3-protobuf
    need_python websockets python3-websockets
    [ -e /usr/share/sounds/alsa/Front_Center.wav ] || missing="$missing alsa-utils"
}

need_dev() {
    need_command clang clang
    need_command clang-format-14 clang-format-14
    need_command ccache ccache
    need_command valgrind valgrind
    need_command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    [ -e /usr/aarch64-linux-gnu/include/stdio.h ] || missing="$missing libc6-dev-arm64-cross"
    need_command qemu-aarch64 qemu-user
}

need_training() {
    need_python torch python3-torch
    need_python scipy python3-scipy
    need_command espeak-ng espeak-ng
    need_command flite flite
    need_command festival festival
    [ -e /usr/share/festival/voices/english/ked_diphone ] || missing="$missing festvox-kdlpc16k"
    [ -e /usr/share/dict/american-english ] || missing="$missing wamerican"
    need_command ffmpeg ffmpeg
}

need_browser() {
    need_command chromium chromium
    need_command ffmpeg ffmpeg
}

[ $# -gt 0 ] || set -- build
for part in "$@"; do
    case $part in
    build) need_build ;;
    test) need_test ;;
    dev) need_dev ;;
    training) need_training ;;
    browser) need_browser ;;
    *) echo "install-deps.sh: unknown part '$part' (build, test, dev, training, browser)" >&2; exit 2 ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "auricle needs these, by their Debian package names:$missing" >&2
    echo "This system has no apt-get: please install them its own way and run make again." >&2
    exit 1
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "Please install, as root:  apt-get install$missing" >&2
        exit 1
    fi
    as_root='sudo'
fi
echo "Installing:$missing"
# shellcheck disable=SC2086 # one argument per package is meant
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -qq $missing </dev/null
}
# Package lists may be absent (containers) or old; refresh them once if so.
install >/dev/null 2>&1 || { $as_root apt-get update -qq </dev/null; install; }
