"""Official clients and a browser against a running server: runs the files of tests/sdk with node.

Run as: test_sdk.py FILE.test.mjs. Skipped where node 20 or the packages (npm ci) are absent."""

import os
import re
import shutil
import subprocess
import sys

from server import TALK, Server, cli, free_port

FOLDER = os.path.join(cli.SOURCE, "tests", "sdk")
LIMIT_SECONDS = 240


def skip(what):
    print(f"{what} is absent")
    sys.exit(cli.MESON_SKIP)


def check_node():
    node = shutil.which("node")
    if not node:
        skip("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.match(r"v(\d+)", version).group(1)) < 20:
        skip(f"node 20 (this is {version.strip()})")
    if not os.path.isdir(os.path.join(FOLDER, "node_modules")):
        skip("tests/sdk/node_modules (npm ci in tests/sdk)")
    return node


def main():
    node = check_node()
    name = sys.argv[1]
    browser = shutil.which("chromium")
    if name.startswith("page") and not browser:
        skip("chromium")
    grpc_port = free_port() if name.startswith("grpc") else 0
    with Server("--grpc-port", str(grpc_port)) as server:
        env = dict(os.environ, AURICLE_URL=f"http://127.0.0.1:{server.port}", AURICLE_AUDIO=TALK,
                   AURICLE_BROWSER=browser or "", AURICLE_GRPC=f"127.0.0.1:{grpc_port}",
                   AURICLE_PROTO=os.path.join(cli.SOURCE, "proto"))
        done = subprocess.run([node, "--test", "--test-reporter=tap", name], cwd=FOLDER, env=env,
                              timeout=LIMIT_SECONDS, stdout=subprocess.PIPE, text=True, check=False)
        report(done.stdout)
        if done.returncode:
            print(done.stdout + server.text())
        if server.stop():
            sys.exit("the server ended badly:\n" + server.text())
    sys.exit(done.returncode)


def report(tap):
    """The lines that tools/run_tests.py counts."""
    for state, name in re.findall(r"^(ok|not ok) \d+ - (.*)$", tap, re.M):
        print(f"[ {'OK' if state == 'ok' else 'FAILED'} ] {name}")


main()
