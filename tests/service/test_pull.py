"""auricle models pull, against a hub that drops, lies, stalls and refuses (hub.py)."""

import gzip
import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "cli"))
import cli  # noqa: E402
from cli import run  # noqa: E402
from hub import Hub  # noqa: E402

SILERO = "/snakers4/silero-vad/resolve/d5b52843f79c97810940534f3433e162470af83d/" \
         "src/silero_vad/data/silero_vad_16k.safetensors"
STORED = "/store" + SILERO
TINY = "/openai/whisper-tiny/resolve/main/"
QUICK = ("--retry-delay", "0.01")


def load(name):
    path = cli.fixture(name)
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return file.read()


SILERO_BYTES = load("silero-vad/silero_vad_16k.safetensors")
WHISPER_FILES = {name.removesuffix(".gz"): load("whisper-micro/hf/" + name) for name in (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer_config.json",
    "vocab.json", "merges.txt", "added_tokens.json", "model.safetensors.gz")}


class Case(cli.Case):
    def setUp(self):
        super().setUp()
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.hub.files[SILERO] = SILERO_BYTES
        self.models = self.path("models")

    def pull(self, *args, **more):
        args = args or ("silero-vad",)
        return run("models", "pull", "--model-dir", self.models, "--url", self.hub.url, *QUICK,
                   *args, **more)

    def expect_silero(self, done):
        self.expect(done, cli.OK)
        with open(self.path("models", "silero-vad", "model.safetensors"), "rb") as file:
            self.assertEqual(file.read(), SILERO_BYTES)
        self.assertEqual(os.listdir(self.models), ["silero-vad"])
        self.assertEqual(sorted(os.listdir(self.path("models", "silero-vad"))),
                         ["SHA256SUMS", "model.safetensors"])

    def expect_nothing(self, done, *words, code=cli.MODEL):
        self.expect(done, code, *words)
        visible = [name for name in os.listdir(self.models) if not name.startswith(".")] \
            if os.path.isdir(self.models) else []
        self.assertEqual(visible, [])

    def ranges(self):
        return [wanted for path, wanted, _ in self.hub.requests if path.startswith("/store")]


class Whole(Case):
    def add_tiny(self):
        for name, data in WHISPER_FILES.items():
            self.hub.files[TINY + name] = data

    def test_whisper(self):
        self.add_tiny()
        self.expect(self.pull("tiny"), cli.OK, "tiny is in")
        for name, data in WHISPER_FILES.items():
            with open(self.path("models", "tiny", name), "rb") as file:
                self.assertEqual(file.read(), data)
        done = run("models", "info", "--model-dir", self.models, "tiny", "--verify")
        self.expect(done, cli.OK)
        text = done.stdout.decode()
        for word in ("whisper", "51865 tokens", "2 layers", "verified", "Apache-2.0",
                     hashlib.sha256(WHISPER_FILES["config.json"]).hexdigest()):
            self.assertIn(word, text)
        n = len(self.hub.requests)
        self.expect(self.pull("tiny"), cli.OK, "there already")
        self.assertEqual(len(self.hub.requests), n)
        self.expect(self.pull("tiny", "--force"), cli.OK, "tiny is in")
        self.assertGreater(len(self.hub.requests), n)
        self.assertEqual(os.listdir(self.models), ["tiny"])

    def test_shards(self):
        self.add_tiny()
        self.hub.files[TINY + "model-00001-of-00001.safetensors"] = \
            self.hub.files.pop(TINY + "model.safetensors")
        tensors = ["model.encoder.conv1.weight"]
        self.hub.files[TINY + "model.safetensors.index.json"] = (
            '{"weight_map": {%s}}' % ", ".join(
                f'"{t}": "model-00001-of-00001.safetensors"' for t in tensors)).encode()
        self.expect(self.pull("tiny"), cli.OK)
        self.assertIn("model-00001-of-00001.safetensors", os.listdir(self.path("models", "tiny")))

    def test_shards_cannot_lead_elsewhere(self):
        self.add_tiny()
        del self.hub.files[TINY + "model.safetensors"]
        self.hub.files[TINY + "model.safetensors.index.json"] = \
            b'{"weight_map": {"a": "../../evil.safetensors"}}'
        self.expect_nothing(self.pull("tiny"), "weight_map", "evil")

    def test_any_repository(self):
        for name, data in WHISPER_FILES.items():
            self.hub.add("some/where.1", "main", name, data)
        self.expect(self.pull("some/where.1", "--name", "mine"), cli.OK, "mine is in")
        self.assertEqual(os.listdir(self.models), ["mine"])

    def test_a_needed_file_is_missing(self):
        self.add_tiny()
        del self.hub.files[TINY + "vocab.json"]
        self.expect_nothing(self.pull("tiny"), "vocab.json", "no such file (404)")

    def test_another_model_under_the_name(self):
        self.add_tiny()
        self.hub.files[TINY + "model.safetensors"] = SILERO_BYTES
        self.expect_nothing(self.pull("tiny"), "family silero", "expected whisper")

    def test_first_use_pulls(self):
        self.add_tiny()
        talk = cli.fixture("audio/clip_50ms.wav")
        args = ("transcribe", "--model-dir", self.models, "--model", "tiny", talk)
        env = {"AURICLE_MODEL_URL": self.hub.url, "AURICLE_CACHE": "off"}
        self.expect(run(*args, "--no-pull", env=env), cli.MODEL, "auricle models pull tiny")
        self.expect(run(*args, env={**env, "AURICLE_AUTO_PULL": "off"}), cli.MODEL,
                    "auricle models pull tiny")
        self.assertEqual(self.hub.requests, [])
        self.expect(run(*args, env=env), cli.OK, "tiny is in")


class Troubles(Case):
    def test_silero(self):
        self.expect_silero(self.pull())

    def test_connection_drops_again_and_again(self):
        step = 200_000
        self.hub.faults[STORED] = [("drop", step)] * 5
        self.expect_silero(self.pull())
        self.assertEqual(self.ranges(), [None] + [f"bytes={step * i}-" for i in range(1, 6)])

    def test_drops_without_progress_end(self):
        self.hub.faults[STORED] = [("drop", 0)] * 100
        self.expect_nothing(self.pull("silero-vad", "--attempts", "3"), "broke off")
        self.assertEqual(len(self.ranges()), 3)

    def test_a_later_call_goes_on(self):
        self.hub.faults[STORED] = [("drop", 500_000)]
        self.expect_nothing(self.pull("silero-vad", "--attempts", "1"), "broke off")
        self.expect_silero(self.pull())
        self.assertEqual(self.ranges(), [None, "bytes=500000-"])

    def test_file_changed_meanwhile(self):
        self.hub.faults[STORED] = [("drop", 500_000)]
        self.expect_nothing(self.pull("silero-vad", "--attempts", "1"))
        part = self.path("models", ".pull-silero-vad", "model.safetensors.part")
        self.assertEqual(os.path.getsize(part), 500_000)
        with open(part + ".of", "w", encoding="ascii") as file:
            file.write('"another"')
        self.expect_silero(self.pull())

    def test_part_was_damaged(self):
        self.hub.faults[STORED] = [("drop", 500_000)]
        self.expect_nothing(self.pull("silero-vad", "--attempts", "1"))
        with open(self.path("models", ".pull-silero-vad", "model.safetensors.part"), "r+b") as file:
            file.write(b"rubbish")
        self.expect_silero(self.pull())

    def test_part_is_longer_than_the_file(self):
        self.hub.faults[STORED] = [("drop", 500_000)]
        self.expect_nothing(self.pull("silero-vad", "--attempts", "1"))
        with open(self.path("models", ".pull-silero-vad", "model.safetensors.part"), "ab") as file:
            file.write(bytes(2_000_000))
        self.expect_silero(self.pull())

    def test_ranges_are_ignored(self):
        self.hub.faults[STORED] = [("drop", 500_000), ("ignore-range",)]
        self.expect_silero(self.pull())

    def test_the_wrong_range_comes(self):
        self.hub.faults[STORED] = [("drop", 500_000), ("wrong-range",)]
        self.expect_silero(self.pull())

    def test_server_without_tags(self):
        self.hub.without_tags = True
        self.hub.faults[STORED] = [("drop", 500_000)]
        self.expect_silero(self.pull())

    def test_chunked_body_of_unknown_length(self):
        self.hub.faults[STORED] = [("chunked",)]
        self.expect_silero(self.pull())

    def test_stall(self):
        self.hub.faults[STORED] = [("stall", 400_000)]
        self.expect_silero(self.pull("silero-vad", "--timeout", "1"))

    def test_more_is_promised_than_comes(self):
        self.hub.faults[STORED] = [("lie", 1000)]
        self.expect_nothing(self.pull(), "would send")
        self.hub.with_store = False
        self.hub.faults[SILERO] = [("lie", 1000)]
        self.expect_silero(self.pull())

    def test_less_is_promised_than_there_is(self):
        self.hub.faults[STORED] = [("lie", -1000)] * 100
        self.expect_nothing(self.pull(), "would send", f"{len(SILERO_BYTES)}")

    def test_announced_size_is_wrong(self):
        self.hub.faults[SILERO] = [("announce", {"size": 17})]
        self.expect_nothing(self.pull(), "announces 17 bytes")

    def test_announced_digest_is_wrong(self):
        self.hub.faults[SILERO] = [("announce", {"sha256": "0" * 64})]
        self.expect_nothing(self.pull(), "sha256 " + "0" * 64, "expected c59271c2")

    def test_damaged_once(self):
        self.hub.faults[STORED] = [("corrupt",)]
        self.expect_silero(self.pull())

    def test_damaged_always(self):
        self.hub.faults[STORED] = [("corrupt",)] * 100
        self.expect_nothing(self.pull(), "sha256", "expected c59271c2", "thrown away")
        self.assertEqual(len(self.ranges()), 2)

    def test_unpinned_file_is_held_to_what_is_announced(self):
        for name, data in WHISPER_FILES.items():
            self.hub.files[TINY + name] = data
        self.hub.faults[TINY + "config.json"] = [("corrupt",)] * 2
        self.expect_nothing(self.pull("tiny"), "config.json", "git digest", "thrown away")
        self.hub.faults["/store" + TINY + "model.safetensors"] = [("corrupt",)] * 2
        self.expect_nothing(self.pull("tiny"), "model.safetensors", "sha256", "thrown away")
        self.expect(self.pull("tiny"), cli.OK)

    def test_too_many_requests(self):
        self.hub.faults[SILERO] = [("status", 429, [("Retry-After", "1")]), ("status", 503)]
        self.expect_silero(self.pull())

    def test_server_errors_end(self):
        self.hub.faults[SILERO] = [("status", 500)] * 100
        self.expect_nothing(self.pull("silero-vad", "--attempts", "3"), "answers 500")
        self.assertEqual(len(self.hub.requests), 3)

    def test_login_wanted(self):
        self.hub.faults[SILERO] = [("status", 401)]
        self.expect_nothing(self.pull(), "(401)", "login", "auricle models import")

    def test_not_there(self):
        del self.hub.files[SILERO]
        self.expect_nothing(self.pull(), "no such file (404)")
        self.assertEqual(len(self.hub.requests), 1)

    def test_circles(self):
        self.hub.faults[SILERO] = [("redirect", SILERO)] * 100
        self.expect_nothing(self.pull(), "circles", code=cli.USAGE)

    def test_redirect_to_a_file(self):
        secret = self.write("secret", b"secret")
        self.hub.faults[SILERO] = [("redirect", "file://" + secret)]
        self.expect_nothing(self.pull(), "nothing else is followed", code=cli.USAGE)

    def test_http_is_for_mirrors_that_say_so(self):
        self.expect_nothing(self.pull("silero-vad", "--url", "ftp://127.0.0.1"), "https://",
                            code=cli.USAGE)

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = self.pull("tiny", "--url", url, "--attempts", "2")
        self.expect_nothing(done, url, "Without a network here", "model.safetensors", "vocab.json",
                            "auricle models import FOLDER --name tiny", self.models)

    def test_stopped_and_taken_up(self):
        self.hub.faults[STORED] = [("stall", 700_000)]
        args = [cli.AURICLE, "models", "pull", "--model-dir", self.models, "--url", self.hub.url,
                "silero-vad"]
        with subprocess.Popen(args, stderr=subprocess.PIPE, env=cli.environment()) as process:
            self.assertTrue(self.hub.stalled.wait(60))
            part = self.path("models", ".pull-silero-vad", "model.safetensors.part")
            while not os.path.exists(part) or os.path.getsize(part) < 700_000:
                self.assertIsNone(process.poll())
            second = self.pull()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        self.expect_nothing(second, "another auricle is pulling")
        self.assertEqual(process.returncode, cli.INTERRUPTED)
        self.assertIn("what came is kept", said.decode())
        self.expect_silero(self.pull())
        self.assertEqual(self.ranges(), [None, "bytes=700000-"])

    def test_full_disk(self):
        done = self.pull("silero-vad", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (300_000, 300_000)))
        self.expect_nothing(done, "model.safetensors.part", code=cli.OUTPUT)


if __name__ == "__main__":
    unittest.main()
