"""auricle models list, import, info, remove; and what is said of damaged models."""

import gzip
import hashlib
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "cli"))
import cli  # noqa: E402
from cli import run  # noqa: E402

SILERO = cli.fixture("silero-vad/silero_vad_16k.safetensors")
GGML = cli.fixture("whisper-micro/ggml-model-f16.bin")
HF = cli.fixture("whisper-micro/hf")
AASIST = cli.fixture("aasist/AASIST-L.pth")
WAV2VEC2 = cli.fixture("wav2vec2-base-micro")
TALK = cli.fixture("audio/clip_50ms.wav")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Case(cli.Case):
    def setUp(self):
        super().setUp()
        self.models = self.path("models")

    def do(self, verb, *args, **more):
        return run("models", verb, "--model-dir", self.models, *args, **more)

    def hf_folder(self):
        """A Whisper folder with weights, and things beside it that no one needs."""
        folder = self.path("source", "whisper-micro")
        shutil.copytree(HF, folder)
        with gzip.open(os.path.join(folder, "model.safetensors.gz")) as packed:
            self.write("source/whisper-micro/model.safetensors", packed.read())
        os.chmod(folder, 0o755)
        os.remove(os.path.join(folder, "model.safetensors.gz"))
        self.write("source/whisper-micro/pytorch_model.bin", b"another form")
        self.write("source/whisper-micro/.cache/x", b"hidden")
        return folder

    def listed(self):
        return sorted(os.listdir(self.models)) if os.path.isdir(self.models) else []


class Import(Case):
    def test_file(self):
        self.expect(self.do("import", GGML), cli.OK, "model-f16.bin is installed")
        self.assertEqual(self.listed(), ["model-f16.bin", "model-f16.bin.sha256"])
        self.assertEqual(digest(self.path("models", "model-f16.bin")), digest(GGML))
        self.expect(self.do("info", "model-f16", "--verify"), cli.OK)

    def test_folder(self):
        source = self.hf_folder()
        self.expect(self.do("import", source + "/", "--name", "micro"), cli.OK)
        self.assertEqual(self.listed(), ["micro"])
        inside = os.listdir(self.path("models", "micro"))
        self.assertNotIn("pytorch_model.bin", inside)
        self.assertIn("SHA256SUMS", inside)
        self.assertIn("model.safetensors", inside)
        text = self.do("info", "micro", "--verify").stdout.decode()
        for word in ("whisper", "safetensors", "2 layers", "51865 tokens", "languages    99",
                     "verified", digest(os.path.join(source, "vocab.json"))):
            self.assertIn(word, text)

    def test_file_that_wants_its_folder(self):
        source = self.hf_folder()
        done = self.do("import", os.path.join(source, "model.safetensors"), "--name", "micro")
        self.expect(done, cli.OK)
        self.assertIn("vocab.json", os.listdir(self.path("models", "micro")))

    def test_link(self):
        source = self.hf_folder()
        self.expect(self.do("import", source, "--link"), cli.OK, "linked")
        self.assertEqual(os.path.realpath(self.path("models", "whisper-micro")), source)
        self.expect(self.do("remove", "whisper-micro", "--yes"), cli.OK)
        self.assertTrue(os.path.exists(os.path.join(source, "model.safetensors")))
        self.assertEqual(self.listed(), [])

    def test_every_family(self):
        for path, family, name in ((SILERO, "silero", "vad"), (AASIST, "aasist", "spoof"),
                                   (WAV2VEC2, "wav2vec2", "ctc")):
            self.expect(self.do("import", path, "--name", name), cli.OK)
            self.assertIn(f"family       {family}", self.do("info", name).stdout.decode())

    def test_checkpoint_brings_its_vocabulary(self):
        packed = cli.fixture("whisper-micro/model.pt.gz")
        with gzip.open(packed) as file:
            path = self.write("source/micro.pt", file.read())
        self.expect_one_line(self.do("import", path), cli.MODEL, "multilingual.tiktoken")
        self.assertEqual(self.listed(), [])
        shutil.copy(cli.fixture("tokenizer/multilingual.tiktoken"), self.path("source"))
        self.expect(self.do("import", path), cli.OK)
        self.assertEqual(self.listed(), ["micro.pt", "micro.pt.sha256", "multilingual.tiktoken"])

    def test_refusals(self):
        self.expect_one_line(self.do("import", self.path("no")), cli.MODEL, "No such file")
        for data, word in ((b"<html>", "web page"), (b"GGUF1234", "GGUF"), (b"", "empty"),
                           (b"RIFF....WAVE", "audio")):
            self.expect_one_line(self.do("import", self.write("x.bin", data)), cli.MODEL, word)
        self.expect_one_line(self.do("import", SILERO, "--name", "../up"), cli.USAGE, "../up")
        self.expect_one_line(self.do("import", SILERO, "--name", ".hid"), cli.USAGE, ".hid")
        self.assertEqual(self.listed(), [])

    def test_taken_name(self):
        self.expect(self.do("import", SILERO, "--name", "a"), cli.OK)
        self.expect_one_line(self.do("import", GGML, "--name", "a"), cli.USAGE, "there already",
                             "auricle models remove a")

    def test_cut_weights(self):
        with open(GGML, "rb") as file:
            path = self.write("cut.bin", file.read(1_000_000))
        self.expect_one_line(self.do("import", path), cli.MODEL, "cut.bin")
        self.assertEqual(self.listed(), [])


class List(Case):
    def test_list(self):
        text = self.do("list").stdout.decode()
        for word in ("tiny.en", "large-v3", "turbo", "distil-large-v3.5", "silero-vad", "aasist-l",
                     "wav2vec2-xlsr-de", "Apache-2.0", self.models):
            self.assertIn(word, text)
        self.do("import", SILERO, "--name", "silero-vad")
        installed, _, available = self.do("list").stdout.decode().partition("To be had")
        self.assertIn("silero-vad", installed)
        self.assertNotIn("silero-vad", available)

    def test_info_of_a_model_that_is_not_there(self):
        text = self.do("info", "base").stdout.decode()
        for word in ("not installed", "auricle models pull base", "openai/whisper-base",
                     "merges.txt", "--name base"):
            self.assertIn(word, text)
        text = self.do("info", "silero-vad").stdout.decode()
        if "not installed" in text:
            self.assertIn(digest(SILERO), text)

    def test_info_of_an_unknown_name(self):
        self.expect_one_line(self.do("info", "nothing-such"), cli.MODEL, "nothing-such")

    def test_mistakes(self):
        for args, words in ((("models",), ["list, pull"]), (("models", "lst"), ["list?"]),
                            (("models", "list", "x"), ["auricle models list"]),
                            (("models", "import"), ["import PATH"]),
                            (("models", "list", "--yes"), ["--yes", "no meaning"]),
                            (("models", "pull", "bse"), ["bse", "base?"]),
                            (("models", "pull", "a", "b", "--name", "c"), ["--name"])):
            self.expect_one_line(run(*args), cli.USAGE, *words)


class Remove(Case):
    def test_remove(self):
        self.do("import", SILERO, "--name", "one")
        self.do("import", self.hf_folder(), "--name", "two")
        self.expect_one_line(self.do("remove", "one"), cli.USAGE, "--yes")
        self.expect(self.do("remove", "one", "two", "--yes"), cli.OK, "one", "two")
        self.assertEqual(self.listed(), [])
        self.expect_one_line(self.do("remove", "one", "--yes"), cli.MODEL, "\"one\"")

    def test_bundled_and_foreign_ones_stay(self):
        bundle = os.path.join(cli.SOURCE, "models", "nano")
        if not os.path.exists(bundle):
            self.skipTest("no bundled model in this tree")
        self.expect_one_line(self.do("remove", "nano", "--yes"), cli.MODEL, "nano",
                             "came with auricle")
        self.assertTrue(os.path.exists(bundle))
        self.do("import", SILERO, "--name", "mine")
        self.expect_one_line(self.do("remove", self.path("models", "mine"), "--yes"), cli.USAGE,
                             "not the name")


class Damage(Case):
    def damage(self, path):
        with open(path, "r+b") as file:
            file.seek(100)
            file.write(b"\0\0\0\0")

    def test_verify_names_file_and_digest(self):
        self.do("import", SILERO, "--name", "vad")
        self.damage(self.path("models", "vad.safetensors"))
        self.expect_one_line(self.do("info", "vad", "--verify"), cli.MODEL, "vad.safetensors",
                             "damaged", "expected " + digest(SILERO))

    def test_verify_wants_a_record(self):
        os.makedirs(self.models)
        shutil.copy(GGML, self.path("models", "plain.bin"))
        self.expect(self.do("info", "plain"), cli.OK)
        self.expect_one_line(self.do("info", "plain", "--verify"), cli.MODEL, "no digests")

    def test_transcribe_names_what_is_damaged(self):
        self.do("import", self.hf_folder(), "--name", "micro")
        args = ("transcribe", "-q", "--model-dir", self.models, "--model", "micro", TALK)
        good = digest(self.path("models", "micro", "config.json"))
        self.write("models/micro/config.json", b"{")
        self.expect_one_line(run(*args), cli.MODEL, "config.json is damaged", "expected " + good)
        os.remove(self.path("models", "micro", "config.json"))
        os.remove(self.path("models", "micro", "vocab.json"))
        self.expect_one_line(run(*args), cli.MODEL, "is missing", "expected sha256")

    def test_record_of_a_whole_folder(self):
        """As the bundled models have it."""
        self.write("models/nano/config.json", b"{}")
        self.write("models/SHA256SUMS", b"%s  nano/model.safetensors\n" % (b"a" * 64))
        done = run("transcribe", "-q", "--model-dir", self.models, "--model", "nano", TALK)
        self.expect_one_line(done, cli.MODEL, "nano/model.safetensors is missing", "a" * 64)

    def test_bad_record(self):
        self.do("import", SILERO, "--name", "vad")
        self.write("models/vad.safetensors.sha256", b"%s  ../../x\n" % (b"a" * 64))
        self.expect_one_line(self.do("info", "vad", "--verify"), cli.MODEL, "sha256:1")


if __name__ == "__main__":
    unittest.main()
