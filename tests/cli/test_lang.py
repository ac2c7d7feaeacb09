"""auricle lang: probabilities of languages, with a small model of random weights."""

import http.server
import json
import threading
import unittest
import wave

import cli
from cli import fixture, run

MODEL = fixture("whisper-micro/ggml-model-f16.bin")
SILERO = fixture("silero-vad/silero_vad_16k_v62.safetensors")
JFK = fixture("audio/jfk_16k.wav")
CLIP = fixture("audio/clip.flac")
SILENCE = fixture("audio/silence_10s.wav")
with open(fixture("whisper-micro/ref/language.json"), encoding="utf-8") as expected:
    EXPECTED = json.load(expected)["probs"]


def lang(*args, **more):
    return run("lang", "--model", MODEL, *args, **more)


class Results(cli.Case):
    def test_probabilities_are_the_originals(self):
        done = lang("-q", "--all", "-f", "json", "--vad", "off", "--compute-type", "f32", JFK)
        self.expect(done, cli.OK)
        document = json.loads(done.stdout)
        got = {entry["language"]: entry["probability"] for entry in document["languages"]}
        self.assertEqual(set(got), set(EXPECTED))
        for code, probability in EXPECTED.items():
            self.assertAlmostEqual(got[code], probability, delta=1e-4, msg=code)
        self.assertEqual(document["language"],
                         max(EXPECTED, key=EXPECTED.get))
        self.assertAlmostEqual(sum(got.values()), 1, places=3)
        order = [entry["probability"] for entry in document["languages"]]
        self.assertEqual(order, sorted(order, reverse=True))
        self.assertEqual((document["file"], document["heard"]), (JFK, 11.0))

    def told(self, *args):
        """Language and probability, by this command and by transcription."""
        document = json.loads(lang("-q", "-f", "json", *args).stdout)
        return document["language"], document["probability"]

    def transcribed(self, *args):
        done = run("transcribe", "-q", "-f", "json", "--model", MODEL, "--temperature", "0", *args)
        self.expect(done, cli.OK)
        document = json.loads(done.stdout)
        return document["language"], round(document["language_probability"], 6)

    def test_transcription_tells_the_same(self):
        for vad in (["--vad", "energy"], ["--vad-model", SILERO]):
            for sound in (JFK, CLIP, fixture("whisper-micro/long_75s.flac")):
                with self.subTest(vad=vad, sound=sound):
                    self.assertEqual(self.told(*vad, sound), self.transcribed(*vad, sound))
        # Without a detector: what the original's transcription tells.
        args = ("--vad", "off", "--compute-type", "f32", JFK)
        (code, probability), (same, other) = self.told(*args), self.transcribed(
            "--long-form", "sequential", *args)
        self.assertEqual(code, same)
        self.assertAlmostEqual(probability, other, delta=1e-4)

    def test_five_lines_unless_told_otherwise(self):
        done = lang(JFK)
        self.expect(done, cli.OK)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 5)
        for line in lines:
            self.assertRegex(line, r"^[a-z]{2,3} +[a-z]+( [a-z]+)? +\d+\.\d\d %$")
        self.assertEqual(len(lang("--top", "2", JFK).stdout.splitlines()), 2)
        self.assertEqual(len(lang("--all", JFK).stdout.splitlines()), 99)
        self.assertEqual(len(lang("--top", "128", JFK).stdout.splitlines()), 99)

    def test_only_speech_is_heard(self):
        for args in (["--vad", "energy"], ["--vad-model", SILERO]):
            document = json.loads(lang("-f", "json", *args, JFK).stdout)
            self.assertTrue(5 < document["heard"] <= 11, document)

    def test_no_more_than_30_seconds_are_heard(self):
        path = fixture("whisper-micro/long_75s.flac")
        for args in (["--vad", "off"], ["--vad", "energy"], ["--vad-model", SILERO]):
            document = json.loads(lang("-f", "json", *args, path).stdout)
            self.assertLessEqual(document["heard"], 30)
            self.assertGreater(document["heard"], 15)

    def test_silence_before_speech_is_passed_over(self):
        with wave.open(JFK) as file:
            speech = file.readframes(file.getnframes())
        path = self.path("late.wav")
        with wave.open(path, "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", None))
            file.writeframes(b"\0" * 32000 * 40 + speech)
        late = json.loads(lang("-f", "json", "--vad-model", SILERO, path).stdout)
        soon = json.loads(lang("-f", "json", "--vad-model", SILERO, JFK).stdout)
        self.assertEqual(late["language"], soon["language"])
        self.assertAlmostEqual(late["heard"], soon["heard"], delta=0.5)

    def test_several_recordings(self):
        done = lang("-q", "--top", "1", JFK, "no.wav", CLIP)
        self.expect(done, cli.INPUT, "no.wav")
        lines = done.stdout.decode().splitlines()
        self.assertEqual([line.split(": ")[0] for line in lines], [JFK, CLIP])
        documents = lang("-q", "-f", "json", JFK, CLIP).stdout.splitlines()
        self.assertEqual([json.loads(line)["file"] for line in documents], [JFK, CLIP])
        failed = json.loads(lang("-q", "-f", "json", "no.wav").stdout)
        self.assertEqual((list(failed), failed["file"]), (["file", "error"], "no.wav"))

    def test_nobody_speaks(self):
        done = lang("--vad-model", SILERO, SILENCE)
        self.expect(done, cli.OK, SILENCE, "no speech")
        self.assertEqual(done.stdout, b"")
        document = json.loads(lang("-f", "json", "--vad-model", SILERO, SILENCE).stdout)
        self.assertEqual((document["language"], document["languages"]), (None, []))

    def test_standard_input(self):
        with open(CLIP, "rb") as file:
            data = file.read()
        piped = lang("-q", "-", data=data)
        self.expect(piped, cli.OK)
        self.assertEqual(piped.stdout, lang("-q", CLIP).stdout)


class Mistakes(cli.Case):
    def test_inputs(self):
        self.expect_one_line(lang("no.wav"), cli.INPUT, "no.wav")
        self.expect_one_line(lang(self.folder), cli.INPUT, "is a folder")
        self.expect_one_line(lang(self.write("empty.wav")), cli.INPUT, "is empty")
        self.expect(lang(fixture("audio/bad_text.mp3")), cli.INPUT, "bad_text.mp3")
        self.expect(lang(fixture("audio/bad_header_only.wav")), cli.INPUT, "bad_header_only.wav")
        self.expect(run("lang"), cli.USAGE, "nothing to do")

    def test_models(self):
        self.expect_one_line(run("lang", "--model", "./no.bin", JFK), cli.MODEL, "./no.bin")
        self.expect_one_line(run("lang", "--model", SILERO, JFK), cli.MODEL, SILERO)
        self.expect_one_line(lang("--vad-model", MODEL, JFK), cli.MODEL, MODEL)

    def test_a_model_that_must_be_loaded_first(self):
        """The name is known, and the address it would come from has nothing."""

        class Nothing(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(404)

            def log_message(self, *args):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Nothing) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = run("lang", "--model", "tiny", JFK,
                       env={"AURICLE_MODEL_URL": f"http://127.0.0.1:{server.server_port}"})
            server.shutdown()
        self.expect(done, cli.MODEL, "tiny", "could not be loaded")
        self.expect_one_line(run("lang", "--model", "tiny", "--no-pull", JFK), cli.MODEL, "tiny")

    def test_options(self):
        for args, words in ((["--top", "0"], ["\"0\""]), (["--format", "tsv"], ["txt or json"]),
                            (["--raw-rate", "8000"], ["--raw-format"])):
            with self.subTest(args=args):
                self.expect(lang(*args, JFK), cli.USAGE, *words)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.expect(lang("-q", JFK, stdout=full), cli.OUTPUT, "standard output")


if __name__ == "__main__":
    unittest.main()
