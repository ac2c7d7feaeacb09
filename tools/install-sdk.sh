#!/bin/sh
# Installs the official clients that tests/sdk uses (npm ci), where node and npm are there and the
# packages are not. Without them those tests are skipped, so nothing here is an error.
set -eu
cd "$(dirname "$0")/../tests/sdk"
command -v npm >/dev/null 2>&1 || exit 0
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
echo 'Installing the clients of tests/sdk (npm ci)'
npm ci --ignore-scripts --silent </dev/null ||
    echo 'npm ci failed: the tests with official clients are skipped' >&2
