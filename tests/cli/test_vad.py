"""auricle vad: stretches of speech, equal to the original's."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import unittest
import wave

import cli
from cli import fixture, run

SILERO = fixture("silero-vad/silero_vad_16k_v62.safetensors")
SILERO_8K = fixture("silero-vad/silero_vad_8k_v62.safetensors")
MINUTE = fixture("silero-vad/test_16k.flac")
HALF_8K = fixture("silero-vad/test_8k_30s.flac")
JFK = fixture("audio/jfk_16k.wav")
SILENCE = fixture("audio/silence_10s.wav")
with open(fixture("silero-vad/timestamps.json"), encoding="utf-8") as expected:
    EXPECTED = json.load(expected)
# The original's name of a parameter, and ours.
NAMES = {"threshold": "--threshold", "neg_threshold": "--neg-threshold",
         "min_speech_duration_ms": "--min-speech-ms", "max_speech_duration_s": "--max-speech",
         "min_silence_duration_ms": "--min-silence-ms", "speech_pad_ms": "--speech-pad-ms"}
LONGEST = "use_max_poss_sil_at_max_speech"


def vad(*args, **more):
    return run("vad", *args, **more)


def options_of(params):
    args = []
    for name, value in params.items():
        if name != LONGEST:
            args += [NAMES[name], str(value)]
    return args + ([] if params.get(LONGEST, True) else ["--cut-at-last-silence"])


def long_silence(path, seconds):
    with wave.open(path, "wb") as file:
        file.setparams((1, 1, 16000, 0, "NONE", None))
        for _ in range(seconds // 60):
            file.writeframes(b"\x80" * 16000 * 60)
    return path


class Golden(cli.Case):
    def check(self, key, rate, model, sound):
        sets = {name: s for name, s in EXPECTED[key].items() if "samples" in s}
        self.assertIn("default", sets)
        for name, case in sets.items():
            with self.subTest(model=key, parameters=name):
                done = vad("-q", "-f", "json", "--vad-model", model, *options_of(case["params"]),
                           sound)
                self.expect(done, cli.OK)
                segments = json.loads(done.stdout)["segments"]
                self.assertEqual([{name: round(s[name] * rate) for name in ("start", "end")}
                                  for s in segments], case["samples"])

    def test_every_parameter_set_at_16_khz(self):
        self.check("16k_v62", 16000, SILERO, MINUTE)

    def test_every_parameter_set_at_8_khz(self):
        self.check("8k_v62", 8000, SILERO_8K, HALF_8K)


class Results(cli.Case):
    def test_three_formats_tell_the_same(self):
        document = json.loads(vad("-f", "json", "--vad-model", SILERO, MINUTE).stdout)
        self.assertEqual(document["file"], MINUTE)
        self.assertEqual((document["duration"], document["detector"]), (60, "silero_vad_16k_v62"))
        times = [(s["start"], s["end"]) for s in document["segments"]]
        self.assertAlmostEqual(sum(end - start for start, end in times), document["speech"])
        lines = vad("--vad-model", SILERO, MINUTE).stdout.decode().splitlines()
        table = vad("-f", "tsv", "--vad-model", SILERO, MINUTE).stdout.decode().splitlines()
        self.assertEqual([line.split() for line in lines],
                         [[f"{time:.3f}" for time in pair] for pair in times])
        self.assertEqual(table[0], "start\tend\tfile")
        self.assertEqual([row.split("\t")[:2] for row in table[1:]], [l.split() for l in lines])
        self.assertEqual({row.split("\t")[2] for row in table[1:]}, {MINUTE})

    def test_share_of_speech_is_said(self):
        done = vad("--vad-model", SILERO, MINUTE)
        self.expect(done, cli.OK, "s of speech in 60.0 s (", "19 segments")
        self.assertEqual(vad("-q", "--vad-model", SILERO, MINUTE).stderr, "")
        self.expect(vad("-v", "--vad-model", SILERO, MINUTE), cli.OK, "INFO", "16000 Hz",
                    "1875 chunks")

    def test_several_recordings(self):
        done = vad("-q", "-f", "json", "--vad-model", SILERO, JFK, "no.wav", MINUTE)
        self.expect(done, cli.INPUT, "no.wav")
        alone = [vad("-q", "-f", "json", "--vad-model", SILERO, name).stdout
                 for name in (JFK, MINUTE)]
        first, failed, last = done.stdout.splitlines(keepends=True)
        self.assertEqual([first, last], alone)
        self.assertEqual(json.loads(failed)["file"], "no.wav")
        self.assertIn("No such file", json.loads(failed)["error"])
        lines = vad("-q", "--vad-model", SILERO, JFK, MINUTE).stdout.decode().splitlines()
        self.assertEqual({line.split(":")[0] for line in lines}, {JFK, MINUTE})

    def test_nobody_speaks(self):
        done = vad("--vad-model", SILERO, SILENCE)
        self.expect(done, cli.OK, "0.0 s of speech", "0 segments")
        self.assertEqual(done.stdout, b"")
        document = json.loads(vad("-f", "json", "--vad-model", SILERO, SILENCE).stdout)
        self.assertEqual((document["segments"], document["speech"]), ([], 0))

    def test_standard_input_and_headerless_samples(self):
        with wave.open(JFK) as file:
            data = file.readframes(file.getnframes())
        piped = vad("-q", "--vad-model", SILERO, "--raw-format", "s16le", "-", data=data)
        self.expect(piped, cli.OK)
        self.assertEqual(piped.stdout, vad("-q", "--vad-model", SILERO, JFK).stdout)
        self.expect(vad("--vad-model", SILERO, "-", data=b""), cli.INPUT, "standard input")


class Detectors(cli.Case):
    def test_loudness_where_no_model_is(self):
        shutil.copy(cli.AURICLE, self.path("auricle"))  # away from the bundled model
        done = subprocess.run([self.path("auricle"), "vad", "-f", "json", JFK], check=False,
                              capture_output=True, env=cli.environment())
        self.assertEqual(done.returncode, cli.OK, done.stderr)
        self.assertIn(b"no Silero model for 16000 Hz", done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(document["detector"], "energy")
        self.assertTrue(document["segments"])
        self.assertEqual(vad("-q", "-f", "json", "--vad", "energy", JFK).stdout, done.stdout)
        self.assertNotIn("Silero", vad("--vad", "energy", JFK).stderr)
        self.expect(vad("--sample-rate", "8000", JFK), cli.OK, "no Silero model for 8000 Hz")
        self.expect_one_line(vad("--vad", "silero", "--sample-rate", "8000", JFK), cli.MODEL,
                             "--vad-model")

    def test_an_installed_model_is_found(self):
        os.mkdir(self.path("models"))
        shutil.copy(SILERO, self.path("models", "silero-vad.safetensors"))
        shutil.copy(SILERO_8K, self.path("models", "silero-vad-8k.safetensors"))
        for args in (["--model-dir", self.path("models")],
                     ["--model-dir", self.path("models"), "--vad-model", "silero-vad"]):
            document = json.loads(vad("-f", "json", *args, JFK).stdout)
            self.assertEqual(document["detector"], "silero-vad")
            self.assertEqual(document["segments"], json.loads(
                vad("-f", "json", "--vad-model", SILERO, JFK).stdout)["segments"])
        done = vad("--sample-rate", "8000", "-v", "--model-dir", self.path("models"), JFK)
        self.expect(done, cli.OK, "silero-vad-8k.safetensors", "8000 Hz")

    def test_the_bundled_model(self):
        if not os.path.isdir(os.path.join(cli.SOURCE, "models", "vad")):
            self.skipTest("models/vad is absent")
        done = vad("-q", "-f", "json", JFK)
        self.expect(done, cli.OK)
        self.assertEqual(done.stderr, "")
        document = json.loads(done.stdout)
        self.assertEqual(document["detector"], "vad")
        self.assertGreater(document["speech"], 5)

    def test_sample_rates(self):
        for rate in ("8000", "16000"):
            done = vad("-f", "json", "--vad", "energy", "--sample-rate", rate, JFK)
            self.assertTrue(json.loads(done.stdout)["segments"])
        self.expect(vad("--sample-rate", "8000", "--vad-model", SILERO_8K, JFK), cli.OK)
        self.expect_one_line(vad("--sample-rate", "8000", "--vad-model", SILERO, JFK), cli.MODEL,
                             SILERO, "16000 Hz", "8000")

    def test_energy_first_changes_little_and_asks_less(self):
        done = vad("-v", "-f", "json", "--energy-first", "--vad-model", SILERO, SILENCE)
        self.expect(done, cli.OK, "313 not shown to the model")

    def test_models_that_are_none(self):
        text = self.write("text.safetensors", b"these are words, not weights")
        other = fixture("whisper-micro/ggml-model-f16.bin")
        for model in (text, other, "./no.safetensors", "nothing-such"):
            with self.subTest(model=model):
                self.expect_one_line(vad("--vad-model", model, JFK), cli.MODEL, model)


class BadInputs(cli.Case):
    def test_broken_files(self):
        for name in ("bad_text.mp3", "bad_random_bytes.wav", "bad_header_only.wav"):
            with self.subTest(name=name):
                done = vad("--vad", "energy", fixture("audio/" + name))
                self.expect_one_line(done, cli.INPUT, name)
                done = vad("-f", "json", "--vad", "energy", fixture("audio/" + name))
                self.assertEqual(list(json.loads(done.stdout)), ["file", "error"])

    def test_folder_empty_and_missing(self):
        empty = self.write("empty.wav")
        done = vad("--vad", "energy", self.folder, empty, "no.wav")
        self.expect(done, cli.INPUT, "is a folder", "is empty", "no.wav")
        self.assertEqual(done.stderr.count("\n"), 3)

    def test_options(self):
        for args, words in ((["--threshold", "2"], ["--threshold", "0 to 1"]),
                            (["--sample-rate", "44100"], ["8000 or 16000"]),
                            (["--max-speech", "0.05"], ["0.1 s"]),
                            (["--vad", "off"], ["auto, silero or energy"]),
                            (["--format", "srt"], ["txt, json or tsv"])):
            with self.subTest(args=args):
                self.expect(vad(*args, JFK), cli.USAGE, *words)
        self.expect(vad(), cli.USAGE, "nothing to do")

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.expect(vad("-q", "--vad", "energy", JFK, stdout=full), cli.OUTPUT,
                        "standard output")


class Long(cli.Case):
    def test_memory_does_not_grow_with_the_recording(self):
        hour = long_silence(self.path("hour.wav"), 3600)
        limit = 160 << 20  # an hour of samples alone would be 230 MB

        def bound():
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

        if "ASAN_OPTIONS" in os.environ:
            self.skipTest("shadow memory breaks the limit")
        done = vad("-f", "json", "--vad", "energy", hour, preexec_fn=bound)
        self.expect(done, cli.OK)
        self.assertEqual(json.loads(done.stdout)["duration"], 3600)

    def test_ctrl_c_keeps_what_is_finished(self):
        """Ten silent hours behind a minute of speech; the first line says that it has begun."""
        talk = self.path("talk.raw")
        with wave.open(JFK) as file, open(talk, "wb") as out:
            out.write(file.readframes(file.getnframes()))
            out.truncate(16000 * 2 * 36000)
        with subprocess.Popen([cli.AURICLE, "vad", "--vad-model", SILERO, "--raw-format", "s16le",
                               talk], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=cli.environment()) as process:
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest, said = process.communicate(timeout=120)
        self.assertTrue(first.strip())
        self.assertEqual(process.returncode, cli.INTERRUPTED, said)
        self.assertIn(b"what was finished is kept", said)
        self.assertTrue((first + rest).endswith(b"\n"))

    def test_a_stopped_recording_says_so_in_json(self):
        """What a pipe does not hold has been taken when the first write returns."""
        with subprocess.Popen([cli.AURICLE, "vad", "-f", "json", "--vad", "energy", "--raw-format",
                               "s16le", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=cli.environment()) as process:
            process.stdin.write(bytes(2 * 16000 * 60))
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(BrokenPipeError):  # it may have ended by now
                process.stdin.write(bytes(2 * 16000 * 60))
            rest, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, cli.INTERRUPTED, said)
        self.assertIn("stopped after", json.loads(rest)["warning"])
        self.assertIsNone(json.loads(vad("-f", "json", "--vad", "energy", JFK).stdout)["warning"])


if __name__ == "__main__":
    unittest.main()
