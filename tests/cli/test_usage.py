"""Help, mistakes on the command line, settings: all that needs no model."""

import os
import re
import shutil
import subprocess
import unittest

import cli
from cli import run

COMMANDS = re.findall(r"^  (\w+) {2,}\S", run("--help").stdout.decode().split("More help")[0], re.M)


class Help(cli.Case):
    def test_commands_are_listed(self):
        self.assertIn("transcribe", COMMANDS)
        self.assertIn("doctor", COMMANDS)

    def test_three_ways_to_the_same_help(self):
        for command in COMMANDS:
            texts = [run("help", command), run(command, "--help"), run(command, "-h")]
            for done in texts:
                self.expect(done, cli.OK)
                self.assertEqual(done.stderr, "")
                self.assertEqual(done.stdout, texts[0].stdout)
        self.assertEqual(run("help").stdout, run("--help").stdout)

    def test_help_fits_80_columns_and_begins_with_examples(self):
        for command in COMMANDS:
            text = run("help", command).stdout.decode()
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
            self.assertLess(text.index("Examples:"), text.index("\nGeneral:"))
            self.assertIn("Exit codes:", text)

    def test_help_is_given_beside_a_mistake(self):
        self.expect(run("transcribe", "--no-such", "--help"), cli.OK)

    def test_documentation_shows_the_help_as_it_is(self):
        with open(os.path.join(cli.SOURCE, "docs", "CLI.md"), encoding="utf-8") as file:
            document = file.read()
        for command in COMMANDS:
            text = run("help", command).stdout.decode()
            self.assertIn("```\n" + text + "```", document,
                          f"docs/CLI.md differs from `auricle help {command}`: "
                          "refresh it with tests/cli/update_docs.py")

    def test_languages(self):
        text = run("help", "languages").stdout.decode()
        self.assertRegex(text, r"de +german")
        self.assertRegex(text, r"yue +cantonese")

    def test_version(self):
        self.assertRegex(run("--version").stdout.decode(), r"^auricle \d+\.\d+\.\d+\n$")

    def test_nothing_said_is_a_mistake_with_help(self):
        done = run()
        self.expect(done, cli.USAGE)
        self.assertIn(b"Commands:", done.stdout)

    def test_help_into_a_closed_pipe(self):
        with subprocess.Popen([cli.AURICLE, "--help"], stdout=subprocess.PIPE,
                              env=cli.environment()) as process:
            process.stdout.close()
            self.assertIn(process.wait(60), (cli.OK, cli.CLOSED_PIPE))

    def test_help_onto_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.expect_one_line(run("--help", stdout=full), cli.OUTPUT, "standard output")


class Mistakes(cli.Case):
    def refused(self, *args, words, code=cli.USAGE, **more):
        done = run(*args, **more)
        self.expect(done, code, *words)
        self.assertEqual(done.stdout, b"")
        self.assertTrue(all(line.startswith("auricle: ") for line in done.stderr.splitlines()),
                        done.stderr)

    def test_commands(self):
        self.refused("transcrbe", "x.wav", words=["\"transcrbe\"", "auricle transcribe?"])
        self.refused("listen", words=["\"listen\"", "--help"])
        talk = self.write("talk.wav", b"x")
        self.refused(talk, words=[f"auricle transcribe {talk}"])

    def test_options(self):
        for args, words in (
                (["--langage", "en"], ["--langage", "--language?"]),
                (["--language"], ["--language", "LANG"]),
                (["--language", "germn"], ["\"germn\"", "german (de)"]),
                (["--language", "xx"], ["\"xx\"", "help languages"]),
                (["--format", "docx"], ["\"docx\"", "srt", "lrc"]),
                (["--format", "txt,srtt"], ["\"srtt\"", "srt?"]),
                (["--format", ""], ["--format", "txt"]),
                (["--threads", "many"], ["\"many\"", "0 to 1024"]),
                (["--threads", "-1"], ["\"-1\""]),
                (["--compute-type", "f16"], ["\"f16\"", "auto, int8, bf16 or f32"]),
                (["--task", "sing"], ["\"sing\"", "transcribe or translate"]),
                (["--temperature", "hot"], ["\"hot\"", "0,0.4,0.8"]),
                (["--temperature", "0,3"], ["\"0,3\"", "from 0 to 2"]),
                (["--temperature", "0,0,0,0,0,0,0,0,0"], ["one to 8"]),
                (["--offset", "soon"], ["\"soon\"", "00:01:30"]),
                (["--suppress-tokens", "a"], ["\"a\"", "token"]),
                (["--beam-size", "0"], ["\"0\"", "1 to 16"]),
                (["--cpu-level", "sse"], ["\"sse\"", "avx2"]),
                (["--logprob-threshold", "low"], ["\"low\"", "off"]),
                (["--raw-format", "mp3"], ["\"mp3\"", "s16le"]),
                (["--raw-rate", "8000", "x"], ["--raw-format"]),
                (["--clip-timestamps", "3,1"], ["\"3,1\"", "rising"]),
                (["--quiet=1"], ["--quiet", "no value"]),
        ):
            with self.subTest(args=args):
                self.refused("transcribe", *args, words=words)

    def test_options_that_contradict_each_other(self):
        """Once, before a model is looked for or an input is opened."""
        for args, words in (
                (["--long-form", "batched", "--condition-on-previous-text"], ["sequential"]),
                (["--hallucination-silence-threshold", "2"], ["word times"]),
                (["--hallucination-silence-threshold", "2", "--word-timestamps", "--long-form",
                  "batched"], ["sequential"]),
                (["--vad-max-speech", "0.01"], ["0.01 s", "padding"]),
                (["--vad-max-speech", "1", "--vad-speech-pad-ms", "500"], ["1 s", "500 ms"]),
                (["--temperature", "0.001"], ["0.001"]),
        ):
            with self.subTest(args=args):
                done = run("transcribe", "--model", "./none", *args, "no.wav", "neither.wav")
                self.expect_one_line(done, cli.USAGE, *words)

    def test_limits_of_nothing(self):
        for name in ("--max-file-size", "--max-reserved"):
            self.refused("serve", name, "0", words=[name, "0 is not accepted"], timeout=20)
        self.refused("serve", env={"MAX_FILE_SIZE": "0"}, words=["MAX_FILE_SIZE (environment)"],
                     timeout=20)

    def test_bench(self):
        for args, words in ((["--random", "huge"], ["\"huge\"", "tiny"]),
                            (["kernels", "--json", "foo"], ["\"foo\""]),
                            (["kernels", "--json"], ["--json"]),
                            (["kernel"], ["\"kernel\"", "--model"])):
            with self.subTest(args=args):
                self.expect_one_line(run("bench", *args), cli.USAGE, *words)

    def test_nothing_to_transcribe(self):
        self.refused("transcribe", words=["nothing to do", "auricle transcribe --help"])
        self.refused("transcribe", "-", "-", words=["once"])

    def test_formats_that_cannot_share_standard_output(self):
        self.refused("transcribe", "-f", "txt,srt", "a.wav", words=["2 formats", "--output-dir"])
        self.refused("transcribe", "-f", "srt", "a.wav", "b.wav", words=["srt", "--output-dir"])

    def test_output_folder(self):
        file = self.write("file", b"1")
        self.expect_one_line(run("transcribe", "-o", file, "a.wav"), cli.OUTPUT, file, "folder")

    def test_models(self):
        talk = self.write("talk.wav", b"RIFF")
        models = self.path("models")
        self.write("models/ggml-base.bin", b"x")
        self.expect_one_line(
            run("transcribe", "--model-dir", models, "--model", "bsae", talk), cli.MODEL,
            "\"bsae\"", "base?", models, "looked in")
        self.expect_one_line(run("transcribe", "--model", "./no.bin", talk), cli.MODEL, "./no.bin")
        self.expect_one_line(run("transcribe", "--model-dir", models, "--vad-model", "silero-vad", talk),
                             cli.MODEL, "silero-vad is not installed", "auricle models pull silero-vad")
        self.expect_one_line(run("vad", "--vad-model", "silero-vad", talk), cli.MODEL,
                             "auricle models pull silero-vad loads it (1.2 MB)")
        self.expect_one_line(run("bench", "-m", "small"), cli.MODEL, "auricle models pull small")
        self.expect_one_line(run("transcribe", talk, env={"MODEL_PATH": "nothing-such"}), cli.MODEL,
                             "nothing-such")


    def test_models_that_no_command_runs_are_not_pulled(self):
        talk = self.write("talk.wav", b"RIFF")
        for name in ("wav2vec2-xlsr-en", "aasist"):
            for args in (["transcribe", "-m", name, talk], ["lang", "-m", name, talk],
                         ["serve", "-m", name], ["bench", "-m", name]):
                with self.subTest(args=args):
                    done = run(*args, env={"HF_ENDPOINT": "https://localhost:1"}, timeout=30)
                    self.expect_one_line(done, cli.MODEL, name, "no command of this version runs")
        done = run("transcribe", "-m", "silero-vad", talk, env={"HF_ENDPOINT": "https://localhost:1"})
        self.expect_one_line(done, cli.MODEL, "silero-vad", "--vad-model")
        text = run("models", "list").stdout.decode()
        runs, _, kept = text.partition("no command of this version runs them:")
        self.assertIn("wav2vec2-xlsr-en", kept)
        self.assertNotIn("wav2vec2", runs)
        self.assertIn("large-v3", runs)

    def test_no_model_at_all(self):
        program = self.path("auricle")
        shutil.copy(cli.AURICLE, program)  # away from the bundled models
        talk = self.write("talk.wav", b"RIFF")
        for args, words in ((["transcribe", talk], ["no Whisper model is installed"]),
                            (["bench"], ["no Whisper model is installed"]),
                            (["lang", talk], ["no Whisper model of several languages"]),
                            (["vad", "--vad", "silero", talk], ["auricle models pull silero-vad"])):
            done = subprocess.run([program, *args], check=False, capture_output=True, text=True,
                                  env=cli.environment())
            self.expect(done, cli.MODEL, *words, "auricle models pull")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Inputs(cli.Case):
    """None of these gets as far as a model."""

    def test_missing(self):
        self.expect_one_line(run("transcribe", "no.wav"), cli.INPUT, "no.wav", "No such file")

    def test_folder(self):
        self.expect_one_line(run("transcribe", self.folder), cli.INPUT, self.folder, "is a folder")

    def test_empty(self):
        path = self.write("empty.wav")
        self.expect_one_line(run("transcribe", path), cli.INPUT, path, "is empty")

    def test_unreadable(self):
        path = self.write("secret.wav", b"RIFF")
        os.chmod(path, 0)
        os.chmod(self.folder, 0o755)
        other = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            done = run("transcribe", path, **other)
        except PermissionError:
            self.skipTest("the program cannot be run by another user from here")
        self.expect_one_line(done, cli.INPUT, path, "Permission denied")

    def test_each_is_told(self):
        empty = self.write("empty.wav")
        done = run("transcribe", "no.wav", empty, self.folder)
        self.expect(done, cli.INPUT, "no.wav", empty, "folder")
        self.assertEqual(done.stderr.count("\n"), 3)

    def test_names_cannot_write_to_the_terminal(self):
        done = run("transcribe", "\x1b[31mred\n.wav")
        self.expect(done, cli.INPUT)
        self.assertNotIn("\x1b", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)


class Settings(cli.Case):
    def test_absent_parts_are_named(self):
        done = run("transcribe", "no.wav", env={"MAX_CONCURRENT_JOBS": "1GB", "CUDA_VISIBLE_DEVICES": "0"})
        self.expect(done, cli.INPUT, "MAX_CONCURRENT_JOBS (environment) has no effect",
                    "CUDA_VISIBLE_DEVICES")
        done = run("transcribe", "-q", "no.wav", env={"MAX_CONCURRENT_JOBS": "1GB"})
        self.assertNotIn("MAX_CONCURRENT_JOBS", done.stderr)

    def test_bad_values_are_named_with_their_origin(self):
        for name, value in (("OMP_NUM_THREADS", "many"), ("MKL_NUM_THREADS", "0"),
                            ("LOG_LEVEL", "loud"), ("AURICLE_CPU_LEVEL", "sse"),
                            ("LOG_PERFORMANCE_METRICS", "perhaps")):
            with self.subTest(name=name):
                # A library of the resampler's has its own word to say about OMP_NUM_THREADS.
                self.expect(run("transcribe", "no.wav", env={name: value}), cli.USAGE,
                            f"auricle: {name} (environment)", f"\"{value}\"")

    def test_options_go_over_the_environment(self):
        done = run("transcribe", "--threads", "1", "no.wav", env={"OMP_NUM_THREADS": "many"})
        self.expect(done, cli.INPUT)

    def test_openmp_list_of_threads(self):
        self.expect(run("transcribe", "no.wav", env={"OMP_NUM_THREADS": "2,1"}), cli.INPUT)

    def test_configuration_file(self):
        good = self.write("good.conf", b"# mine\nLOG_LEVEL=loud\n")
        self.expect_one_line(run("transcribe", "--config", good, "no.wav"), cli.USAGE,
                             "LOG_LEVEL (", "good.conf:2)")
        done = run("transcribe", "--config", good, "no.wav", env={"LOG_LEVEL": "info"})
        self.expect(done, cli.INPUT)
        remark = self.write("remark.conf", b"LOG_LEVEL = debug # for now\n")
        self.expect(run("transcribe", "--config", remark, "no.wav"), cli.INPUT)
        bad = self.write("bad.conf", b"words\n")
        self.expect(run("transcribe", "--config", bad, "no.wav"), cli.USAGE, "bad.conf:1")
        self.expect(run("transcribe", "--config", "/no/such", "no.wav"), cli.USAGE, "/no/such")


class Doctor(cli.Case):
    def test_reports_and_advises(self):
        done = run("doctor", "--model-dir", self.folder)
        text = done.stdout.decode()
        for word in ("Processor", "level", "threads", "Memory", "Decoders", "Models", self.folder,
                     "GPU", "Locale", "Verdict:"):
            self.assertIn(word, text)
        self.assertEqual(done.returncode, cli.OK if "ready" in text else cli.MODEL)

    def test_finds_models(self):
        self.write("tiny/config.json", b"{}")
        self.write("ggml-base.bin", b"x" * 3_000_000)
        done = run("doctor", env={"AURICLE_MODELS": self.folder})
        self.expect(done, cli.OK)
        self.assertIn("base (3.0 MB)", done.stdout.decode())
        self.assertIn("Verdict: ready", done.stdout.decode())

    def test_takes_no_operands(self):
        self.expect_one_line(run("doctor", "me"), cli.USAGE, "\"me\"")


if __name__ == "__main__":
    unittest.main()
