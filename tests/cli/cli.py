"""What the tests of the command line share: running the program and finding fixtures.

The program is $AURICLE (tests/cli/meson.build sets it). It runs with a home of its own and without
the settings of whoever runs the tests, so that their models and environment change nothing.
"""

import os
import subprocess
import sys
import tempfile
import unittest

AURICLE = os.environ.get("AURICLE", "build/auricle")
SHARED = os.environ.get("AURICLE_SHARED", "../shared")
SOURCE = os.environ.get("AURICLE_SOURCE", ".")
MESON_SKIP = 77

OK, INPUT, USAGE, MODEL, OUTPUT, CLOSED_PIPE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

KEPT = ("PATH", "AURICLE_CPU_LEVEL", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
        "TSAN_OPTIONS")
_home = tempfile.TemporaryDirectory(prefix="auricle-cli-home-")


def environment(**settings):
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    env.update(HOME=_home.name, LANG="C.UTF-8", **settings)
    return env


def run(*args, stdin=subprocess.DEVNULL, data=None, env=None, stdout=subprocess.PIPE, timeout=240,
        program=AURICLE, **more):
    """Run to the end. stdout and stderr of the answer are bytes and text."""
    if data is not None:
        more["input"] = data
    else:
        more["stdin"] = stdin
    done = subprocess.run([program, *args], stdout=stdout, stderr=subprocess.PIPE, timeout=timeout,
                          env=environment(**(env or {})), check=False, **more)
    done.stderr = done.stderr.decode()
    return done


def fixture(name):
    """Path of a fixture; the whole file of tests is skipped where it is absent."""
    path = os.path.join(SHARED, "fixtures", name)
    if not os.path.exists(path):
        print(f"{path} is absent")
        sys.exit(MESON_SKIP)
    return path


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="auricle-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, data=b""):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def read(self, *names):
        with open(self.path(*names), "rb") as file:
            return file.read().decode()

    def expect(self, done, code, *words):
        """The exit code, and words that standard error must hold."""
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def expect_one_line(self, done, code, *words):
        """A failure told in one line, with nothing on standard output."""
        self.expect(done, code, *words)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("auricle: "), done.stderr)
        if done.stdout is not None:
            self.assertEqual(done.stdout, b"")
