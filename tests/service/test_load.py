"""bench/serve_load: that it runs and says what it should. Its figures are nobody's business here."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "cli"))
import cli  # noqa: E402

PROGRAM = os.path.join(cli.SOURCE, "bench", "serve_load")


class Load(cli.Case):
    def load(self, *args):
        done = subprocess.run([sys.executable, PROGRAM, *args], capture_output=True, text=True,
                              timeout=240, env=cli.environment(AURICLE=cli.AURICLE), check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_idle(self):
        self.assertRegex(self.load("idle"), r"idle: [\d.]+ MB resident, weights [\d.]+ MB")

    def test_overhead(self):
        self.assertRegex(self.load("overhead", "--rounds", "1"),
                         r"difference +n +1 +p50 +-?[\d.]+ ms +p95")

    def test_uploads_are_all_answered(self):
        self.assertIn("6 of 6 answered 200", self.load("uploads", "--clients", "6"))

    def test_live(self):
        text = self.load("live", "--streams", "2", "--seconds", "6")
        self.assertRegex(text, r"2 streams, first words +n +\d+ +p50 +[\d.]+ ms")

    def test_big(self):
        self.assertRegex(self.load("big", "--megabytes", "3"), r"status 200; memory idle")


if __name__ == "__main__":
    unittest.main(verbosity=2)
