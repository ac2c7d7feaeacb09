"""What works from a fresh clone: the bundled models on the project's own recordings."""

import array
import glob
import json
import math
import os
import shutil
import subprocess
import sys
import unittest

import cli
from cli import run

DEMO = os.path.join(cli.SOURCE, "demo")
NANO = os.path.join(cli.SOURCE, "models", "nano")

if not os.path.isdir(NANO):
    print(f"{NANO} is absent (set AURICLE_SOURCE to the source tree)")
    sys.exit(cli.MESON_SKIP)


def recording(name):
    return os.path.join(DEMO, name)


class Bundled(cli.Case):
    def test_default_model_with_a_note(self):
        done = run("transcribe", recording("note.wav"))
        self.expect(done, cli.OK, "small bundled model", "--model")
        self.assertTrue(done.stdout.strip())
        quiet = run("transcribe", "--quiet", recording("note.wav"))
        self.assertEqual(quiet.stderr, "")
        self.assertEqual(quiet.stdout, done.stdout)

    def test_by_name(self):
        done = run("transcribe", "--model", "nano", "-f", "json", recording("talk.flac"))
        self.expect(done, cli.OK)
        self.assertNotIn("bundled", done.stderr)
        self.assertTrue(json.loads(done.stdout)["text"].strip())

    def test_a_model_may_ask_for_a_beam(self):
        silent = self.path("silent")  # the bundled model, with nothing said about beams
        shutil.copytree(NANO, silent)
        path = os.path.join(silent, "generation_config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        self.assertEqual(config.pop("num_beams"), 5)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)

        def tokens(model, *options):
            done = run("transcribe", "-q", "--model", model, "--language", "en", "-f", "json", *options,
                       recording("talk.flac"))
            self.expect(done, cli.OK)
            return [s["tokens"] for s in json.loads(done.stdout)["segments"]]
        beam, greedy = tokens(NANO, "--beam-size", "5"), tokens(NANO, "--beam-size", "1")
        self.assertNotEqual(beam, greedy)
        self.assertEqual(tokens(NANO), beam)
        self.assertEqual(tokens(NANO, "--best-of", "1"), beam)
        self.assertEqual(tokens(silent), greedy)
        self.assertEqual(tokens(silent, "--beam-size", "5"), beam)

    def test_codecs_agree_on_the_length(self):
        done = run("transcribe", "-q", "-f", "json",
                   *(recording(name) for name in ("talk.flac", "talk.mp3", "talk.opus")))
        self.expect(done, cli.OK)
        lengths = [json.loads(line)["duration"] for line in done.stdout.splitlines()]
        self.assertEqual(len(lengths), 3)
        self.assertLess(max(lengths) - min(lengths), 0.2)

    def test_a_person_is_heard_to_speak(self):
        """alsa-utils brings a human voice that says "front left" and the like."""
        sounds = sorted(glob.glob("/usr/share/sounds/alsa/*_*.wav"))
        if not sounds:
            self.skipTest("alsa-utils' channel-test sounds are not installed")
        done = run("transcribe", "-q", "--language", "en", "-f", "json", *sounds)
        self.expect(done, cli.OK)
        results = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(results), len(sounds))
        spoken = [result for result in results if result["text"].strip()]
        self.assertGreaterEqual(2 * len(spoken), len(sounds))
        for result in results:
            self.assertTrue(1 < result["duration"] < 3)
            for segment in result["segments"]:
                self.assertLessEqual(segment["end"], result["duration"] + 0.01)
        heard = run("vad", "-q", *sounds).stdout.splitlines()
        self.assertGreaterEqual(len(heard), len(sounds))  # a line for each stretch of speech

    def test_silence_is_no_failure(self):
        silence = bytes(2 * 16000 * 5)
        done = run("transcribe", "--raw-format", "s16le", "-f", "srt", "-", data=silence)
        self.expect(done, cli.OK, "standard input")
        self.assertEqual(done.stdout, b"")

    def test_the_cache_is_kept_within_its_size(self):
        sound, cache = os.path.join(cli.SOURCE, "demo", "note.wav"), self.path("cache")

        def kept(*options):
            done = run("transcribe", "-q", "--cache", cache, *options, sound)
            self.expect(done, cli.OK)
            return sorted(name for name in os.listdir(cache) if name.endswith(".packed"))
        first = kept("--compute-type", "int8")
        both = kept("--compute-type", "f32", "--cache-size", "1GB")
        self.assertEqual((len(first), len(both)), (1, 2))
        text = run("doctor", "--cache", cache, env={"AURICLE_CACHE_SIZE": "3GB"}).stdout.decode()
        self.assertIn("2 packed models, ", text)
        self.assertIn("at most 3.0 GB", text)
        # Of the two the one that is not in use now goes, though neither fits.
        self.assertEqual(kept("--compute-type", "int8", "--cache-size", "1KB"), first)
        self.assertIn("1 packed model, ", run("doctor", "--cache", cache).stdout.decode())
        self.assertIn("Cache       none", run("doctor", "--cache", "off").stdout.decode())
        self.expect(run("transcribe", "-q", "--cache-size", "0", sound), cli.USAGE, "--cache off")

    def test_a_tune_is_no_text(self):
        tune = array.array("h")
        for beat in range(40):  # half a second each: a sine, or a chord of four
            parts = (1, 1.25, 1.5, 2) if beat % 8 > 4 else (1,)
            hz = 220 * 2 ** ((beat * 5) % 12 / 12)
            tune.extend(int(5000 / len(parts) * sum(math.sin(2 * math.pi * hz * p * i / 16000) for p in parts))
                        for i in range(8000))
        done = run("transcribe", "-q", "--raw-format", "s16le", "-", data=tune.tobytes())
        self.expect(done, cli.OK)
        self.assertEqual(done.stdout, b"")

    def test_doctor_is_content(self):
        done = run("doctor")
        self.expect(done, cli.OK)
        self.assertIn("nano (", done.stdout.decode())
        self.assertIn("Verdict: ready", done.stdout.decode())


class Damage(cli.Case):
    """A program of our own beside models of our own: no other models are found."""

    def setUp(self):
        super().setUp()
        self.program = self.path("bin", "auricle")
        os.mkdir(self.path("bin"))
        shutil.copy(cli.AURICLE, self.program)
        shutil.copytree(os.path.join(cli.SOURCE, "models"), self.path("models"))
        with open(self.path("models", "SHA256SUMS"), encoding="ascii") as file:
            self.sums = {name: digest for digest, name in map(str.split, file)}

    def start(self, *args, command="transcribe"):
        return run(command, "-q", *args, recording("note.wav"), program=self.program)

    def overwrite(self, name, at, data):
        with open(self.path("models", *name.split("/")), "r+b") as file:
            file.seek(at)
            file.write(data)

    def expect_named(self, done, name, what):
        self.expect_one_line(done, cli.MODEL, name + what, self.sums[name],
                             "tools/model_sums.py . --write")

    def test_damaged_weights(self):
        """Weights with a hole load and write rubbish: with a cache, made before, and without."""
        good = self.start("--cache", self.path("cache"))
        self.expect(good, cli.OK)
        self.overwrite("nano/model.safetensors", 4 << 20, bytes(1 << 20))
        for args in (["--cache", self.path("cache")], ["--cache", "off"], ["--cache", self.path("new")]):
            self.expect_named(self.start(*args), "nano/model.safetensors", " is damaged")
        shutil.copy(os.path.join(NANO, "model.safetensors"), self.path("models", "nano"))
        self.assertEqual(self.start("--cache", self.path("cache")).stdout, good.stdout)

    def test_a_change_that_is_meant(self):
        self.overwrite("nano/model.safetensors", 4 << 20, bytes(64))
        tool = os.path.join(cli.SOURCE, "tools", "model_sums.py")
        subprocess.run([sys.executable, tool, self.folder, "--write"], check=True)
        self.expect(self.start("--cache", self.path("cache")), cli.OK)

    def test_damaged_and_missing_texts(self):
        self.expect(self.start("--cache", self.path("cache")), cli.OK)
        path = self.path("models", "nano", "vocab.json")
        times = os.stat(path)
        self.overwrite("nano/vocab.json", 5000, b"x")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.expect_named(self.start("--cache", self.path("cache")), "nano/vocab.json", " is damaged")
        shutil.copy(os.path.join(NANO, "vocab.json"), path)
        for name in ("merges.txt", "config.json", "generation_config.json", "added_tokens.json",
                     "preprocessor_config.json", "tokenizer_config.json"):
            os.rename(self.path("models", "nano", name), self.path("aside"))
            self.expect_named(self.start("--cache", self.path("cache")), "nano/" + name, " is missing")
            os.rename(self.path("aside"), self.path("models", "nano", name))
        self.expect(self.start("--cache", self.path("cache")), cli.OK)

    def test_no_detector_takes_the_place_of_a_missing_one(self):
        shutil.rmtree(self.path("models", "vad"))
        for command in ("transcribe", "vad"):
            self.expect_named(self.start(command=command), "vad/model.safetensors", " is missing")
            self.expect(self.start("--vad", "energy", command=command), cli.OK)
        done = run("doctor", program=self.program)
        self.assertEqual(done.returncode, cli.MODEL)
        self.assertIn("vad/model.safetensors is missing", " ".join(done.stdout.decode().split()))
        done = run("serve", "--port", "0", program=self.program)
        self.expect(done, cli.MODEL, "vad/model.safetensors is missing")

    def test_a_missing_model(self):
        shutil.rmtree(self.path("models", "nano"))
        for args in ([], ["--model", "nano"], ["--model", self.path("models", "nano")]):
            self.expect_named(self.start(*args), "nano/added_tokens.json", " is missing")


if __name__ == "__main__":
    unittest.main()
