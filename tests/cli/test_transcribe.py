"""auricle transcribe from end to end, with a small model of random weights: its text means nothing
but is the same every time."""

import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import unittest
import wave

import cli
from cli import fixture, run

MODEL = fixture("whisper-micro/ggml-model-f16.bin")
JFK = fixture("audio/jfk_16k.wav")
CLIP = fixture("audio/clip.flac")
# Random weights would rarely end a text by themselves.
MICRO = ("--model", MODEL, "--language", "en", "--temperature", "0", "--no-speech-threshold", "off",
         "--max-tokens", "24", "--no-filter")
LINE_FORMATS = ("txt", "srt", "vtt", "tsv", "lrc")
# The order of the original program's writer.
SEGMENT_MEMBERS = ["id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
                   "compression_ratio", "no_speech_prob"]


def transcribe(*args, **more):
    return run("transcribe", *MICRO, *args, **more)


class Cache(cli.Case):
    def test_the_second_start_maps_packed_weights(self):
        folder = self.path("made", "cache")
        asked = ("--cache", folder, "--log-level", "info", JFK)
        first, second = transcribe(*asked), transcribe(*asked)
        self.assertNotIn("from the cache", first.stderr)
        self.assertIn("from the cache", second.stderr)
        self.assertEqual(first.stdout, second.stdout)
        self.assertEqual(sum(name.endswith(".packed") for name in os.listdir(folder)), 1)

    def test_a_folder_that_cannot_be_written_is_told_once(self):
        file = self.write("file")
        for folder in ("/dev/null", "/dev/null/cache", file, os.path.join(file, "a", "b")):
            with self.subTest(folder=folder):
                done = transcribe(JFK, CLIP, env={"AURICLE_CACHE": folder})
                self.expect(done, cli.OK, "packed weights cannot be kept", "is no folder")
                self.assertEqual(done.stderr.count("packed weights"), 1, done.stderr)
                self.assertEqual(transcribe("-q", "--cache", folder, JFK).stderr, "")
                report = " ".join(run("doctor", "--cache", folder).stdout.decode().split())
                self.assertIn("Cache cannot be written: ", report)
                self.assertIn("name a folder with --cache", report)
        missing = self.path("not", "made", "yet")
        self.assertIn("0 packed models", run("doctor", "--cache", missing).stdout.decode())
        self.assertNotIn("packed weights", transcribe("--cache", missing, JFK).stderr)

    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "the sanitizer's own files count, too")
    def test_a_full_disk_is_told(self):
        def bound():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        done = transcribe("--cache", self.path("cache"), JFK, preexec_fn=bound)
        self.expect(done, cli.OK, "packed weights cannot be kept", "is the disk full?")

    def test_off_means_off(self):
        for _ in range(2):
            done = transcribe("--cache", "off", "--log-level", "info", JFK)
            self.expect(done, cli.OK)
            self.assertNotIn("from the cache", done.stderr)


class Default(cli.Case):
    """The model where none is named."""

    def used(self, command, *args):
        short = ("--temperature", "0", "--max-tokens", "8") if command == "transcribe" else ()
        done = run(command, "--model-dir", self.folder, "--log-level", "info", *short, *args, JFK)
        self.expect(done, cli.OK)
        return re.search(r"model (\S+): .* million parameters", done.stderr).group(1)

    def test_any_whisper_goes_before_the_bundled_one(self):
        shutil.copy(MODEL, self.path("mine.bin"))
        self.assertEqual(self.used("transcribe"), self.path("mine.bin"))
        self.assertEqual(self.used("transcribe", "--language", "de"), self.path("mine.bin"))
        self.assertIn(self.path("mine.bin"), run("doctor", "--model-dir", self.folder).stdout.decode())
        shutil.copy(MODEL, self.path("large-v3.bin"))  # as small as the other: the first by name
        self.assertEqual(self.used("transcribe"), self.path("large-v3.bin"))
        shutil.copy(MODEL, self.path("tiny.bin"))
        self.assertEqual(self.used("transcribe"), self.path("tiny.bin"))

    def test_a_model_for_english_comes_later(self):
        shutil.copy(MODEL, self.path("medium.en.bin"))
        self.assertEqual(self.used("transcribe"), self.path("medium.en.bin"))
        if not os.path.isdir(os.path.join(cli.SOURCE, "models", "nano")):
            self.skipTest("models/nano is absent")
        for args in (["transcribe", "--language", "de"], ["lang"]):
            self.assertTrue(self.used(*args).endswith("/nano"), args)


class Results(cli.Case):
    def test_text_alone_on_standard_output(self):
        done = transcribe(JFK)
        self.expect(done, cli.OK, "jfk_16k.wav", "real time")
        self.assertTrue(done.stdout.decode().strip())
        quiet = transcribe("--quiet", JFK)
        self.assertEqual(quiet.stderr, "")
        self.assertEqual(quiet.stdout, done.stdout)

    def test_rules_drop_invented_text_and_say_so(self):
        rules = [arg for arg in MICRO if arg != "--no-filter"] + ["--language", "th"]
        dropped = json.loads(run("transcribe", *rules, "-f", "json", JFK).stdout)
        self.assertEqual(dropped["text"], "")  # random tokens are no Thai
        self.assertEqual(dropped["filtered"][0]["filtered_by"], "wrong-script")
        self.assertLessEqual({s["filtered_by"] for s in dropped["filtered"]},
                             {"wrong-script", "silence"})  # and their times are past the end
        kept = json.loads(run("transcribe", *rules, "--keep-filtered", "-f", "json", JFK).stdout)
        self.assertEqual([s["text"] for s in kept["segments"]],
                         [s["text"] for s in dropped["filtered"]])
        self.assertEqual(kept["segments"][0]["filtered_by"], "wrong-script")

    def test_hotwords_are_heard_by_every_window(self):
        plain = transcribe("-q", JFK).stdout
        self.assertNotEqual(transcribe("-q", "--hotwords", "Kennedy", JFK).stdout, plain)
        self.assertEqual(transcribe("-q", "--profile", "strict", JFK).stdout, plain)

    def test_every_format_into_a_folder(self):
        out = self.path("a", "b")
        done = transcribe("--format", "all", "--output-dir", out, JFK)
        self.expect(done, cli.OK)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(sorted(os.listdir(out)),
                         sorted(f"jfk_16k.{name}" for name in LINE_FORMATS + ("json",)))
        for name in LINE_FORMATS:  # what streams is what is written whole
            self.assertEqual(transcribe("-q", "-f", name, JFK).stdout.decode(),
                             self.read(out, f"jfk_16k.{name}"))
        self.assertTrue(self.read(out, "jfk_16k.vtt").startswith("WEBVTT\n\n"))
        self.assertRegex(self.read(out, "jfk_16k.srt"),
                         r"^1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n")

    def test_json_has_the_shape_of_the_original(self):
        document = json.loads(transcribe("-f", "json", JFK).stdout)
        self.assertEqual(list(document)[:3], ["text", "segments", "language"])
        self.assertEqual(document["language"], "en")
        self.assertAlmostEqual(document["duration"], 11.0, places=2)
        for number, segment in enumerate(document["segments"]):
            self.assertEqual(list(segment)[:10], SEGMENT_MEMBERS)
            self.assertEqual(segment["id"], number)
        # Sampled special tokens stand in the whole text alone, as in the original's.
        plain = re.sub(r"<\|\w+\|>", "", document["text"])
        self.assertEqual("".join(s["text"] for s in document["segments"]), plain)

    def test_several_json_results_are_lines(self):
        done = transcribe("-f", "json", JFK, CLIP)
        self.expect(done, cli.OK)
        self.assertEqual([json.loads(line)["file"] for line in done.stdout.splitlines()], [JFK, CLIP])

    def test_every_input_has_its_line_of_json(self):
        bad = fixture("audio/bad_text.mp3")
        done = transcribe("-q", "-f", "json", "no.wav", JFK, bad, self.folder)
        self.expect(done, cli.INPUT, "no.wav", bad, self.folder)
        missing, good, broken, folder = map(json.loads, done.stdout.splitlines())
        self.assertEqual([r["file"] for r in (missing, good, broken, folder)],
                         ["no.wav", JFK, bad, self.folder])
        self.assertIn("text", good)
        for result, words in ((missing, "No such file"), (broken, "not a recording"),
                              (folder, "is a folder")):
            self.assertEqual(list(result), ["file", "error"])
            self.assertIn(words, result["error"])
        alone = transcribe("-f", "json", "no.wav")
        self.assertEqual(json.loads(alone.stdout)["file"], "no.wav")
        self.expect(transcribe("-f", "json", "-o", self.path("out"), bad), cli.INPUT)
        self.assertFalse(os.path.exists(self.path("out", "bad_text.json")))

    def test_words_have_times(self):
        document = json.loads(transcribe("-f", "json", "--word-timestamps", JFK).stdout)
        words = [w for s in document["segments"] for w in s["words"]]
        self.assertTrue(words)
        for word in words:
            self.assertEqual(list(word), ["word", "start", "end", "probability"])
            self.assertLessEqual(word["start"], word["end"])

    def test_clips(self):
        document = json.loads(
            transcribe("-f", "json", "--clip-timestamps", "1,3,0:05,7", JFK).stdout)
        self.assertTrue(document["segments"])
        for segment in document["segments"]:
            self.assertGreaterEqual(segment["start"], 1.0)

    def test_offset_and_duration(self):
        document = json.loads(
            transcribe("-f", "json", "--offset", "2", "--duration", "4", JFK).stdout)
        for segment in document["segments"]:
            self.assertGreaterEqual(segment["start"], 2.0)

    def test_speed_and_length_are_those_of_the_part(self):
        for args, length in ((["--duration", "4"], "4.0 s"), (["--offset", "9"], "2.0 s"),
                             (["--offset", "2", "--duration", "3"], "3.0 s"),
                             (["--offset", "8", "--duration", "60"], "3.0 s"),
                             (["--clip-timestamps", "1,2,5,7,10"], "4.0 s"),
                             (["--duration", "4", "--long-form", "sequential"], "4.0 s")):
            with self.subTest(args=args):
                done = transcribe("-f", "json", *args, JFK)
                self.expect(done, cli.OK, f"jfk_16k.wav: {length} of audio in")
                self.assertEqual(json.loads(done.stdout)["duration"], 11)
        with open(JFK, "rb") as file:  # a pipe, which nobody reads further than that
            self.expect(transcribe("--duration", "4", "-", data=file.read()), cli.OK,
                        "standard input: 4.0 s of audio in")
        done = transcribe("-f", "json", "--duration", "4", "--raw-format", "s16le", "-",
                          data=bytes(320000))  # silence whose end is not read
        self.expect(done, cli.OK, "standard input: 4.0 s of audio in", "no speech was found")
        self.assertEqual(json.loads(done.stdout)["duration"], 4)

    def test_a_part_behind_the_end_is_told_from_silence(self):
        for args in (["--offset", "1000"], ["--clip-timestamps", "1000,1010"],
                     ["--offset", "1000", "--long-form", "sequential"]):
            done = transcribe("-f", "json", *args, JFK)
            self.expect(done, cli.OK, "0.0 s of audio", "begins at 1000 s", "ends after 11.0 s")
            self.assertNotIn("no speech was found", done.stderr)
            self.assertIn("begins at 1000 s", json.loads(done.stdout)["warning"])

    def test_language_is_detected_when_none_is_named(self):
        done = run("transcribe", "--model", MODEL, "--temperature", "0", "--max-tokens", "24", "-f",
                   "json", JFK)
        self.expect(done, cli.OK)
        document = json.loads(done.stdout)
        self.assertTrue(document["language"])
        self.assertLess(document["language_probability"], 1.0)

    def test_detection_chooses_among_the_languages_named(self):
        def heard(*args):
            done = run("transcribe", "--model", MODEL, "--temperature", "0", "--max-tokens", "24",
                       "-f", "json", *args, JFK)
            self.expect(done, cli.OK)
            return json.loads(done.stdout)["language"]
        others = [code for code in ("de", "fr", "es") if code != heard()][:2]
        self.assertIn(heard("--languages", ",".join(others)), others)
        self.assertEqual(heard("--languages", others[1]), others[1])
        self.expect(transcribe("--languages", "en,klingon", JFK), cli.USAGE, "klingon")

    def test_timings_are_logged_on_request(self):
        done = transcribe(JFK, env={"LOG_PERFORMANCE_METRICS": "1"})
        self.expect(done, cli.OK, "INFO", "encoder", "decoder")
        self.assertNotIn(" 0.0 ms", done.stderr)
        self.assertNotIn("INFO", transcribe(JFK).stderr)

    def test_long_forms(self):
        silero = fixture("silero-vad/silero_vad_16k_v62.safetensors")
        for args in (["sequential"], ["batched", "--batch-size", "2"], ["batched", "--vad", "off"],
                     ["batched", "--vad", "energy"], ["batched", "--vad-model", silero]):
            done = transcribe("-q", "--long-form", *args, fixture("whisper-micro/long_75s.flac"))
            self.expect(done, cli.OK)
            self.assertTrue(done.stdout.strip(), args)
        self.expect_one_line(transcribe("--vad-model", MODEL, JFK), cli.MODEL, MODEL)

    def test_invented_text_is_left_out_and_named(self):
        silence = fixture("audio/silence_10s.wav")
        options = [o for o in MICRO if o != "--no-filter"] + ["--vad", "off", "-f", "json"]
        done = run("transcribe", *options, silence)
        self.expect(done, cli.OK, "look invented")
        document = json.loads(done.stdout)
        self.assertEqual(document["segments"], [])
        self.assertTrue(all(s["filtered_by"] for s in document["filtered"]))
        document = json.loads(run("transcribe", *options, "--keep-filtered", silence).stdout)
        self.assertTrue(all(s["filtered_by"] for s in document["segments"]))

    def test_threads_change_nothing(self):
        texts = {transcribe("-q", "--threads", n, JFK).stdout for n in ("1", "2", "3")}
        self.assertEqual(len(texts), 1)


class Names(cli.Case):
    def test_equal_stems_do_not_overwrite_each_other(self):
        for name in ("a/talk.wav", "b/talk.wav", "c/talk.flac"):
            os.makedirs(os.path.dirname(self.path(name)))
            shutil.copy(CLIP if name.endswith("flac") else JFK, self.path(name))
        out = self.path("out")
        done = transcribe("-o", out, *(self.path(n, m) for n, m in
                                       (("a", "talk.wav"), ("b", "talk.wav"), ("c", "talk.flac"))))
        self.expect(done, cli.OK, "talk.wav.*", "talk.flac.*")
        self.assertEqual(sorted(os.listdir(out)), ["talk.flac.txt", "talk.txt", "talk.wav.txt"])

    def test_an_input_is_never_written_over(self):
        shutil.copy(JFK, self.path("talk.txt"))
        before = os.path.getsize(self.path("talk.txt"))
        done = transcribe("-o", self.folder, self.path("talk.txt"))
        self.expect(done, cli.OUTPUT, "is the recording itself")
        self.assertEqual(os.path.getsize(self.path("talk.txt")), before)


class StandardInput(cli.Case):
    def test_pipe(self):
        with open(CLIP, "rb") as file:
            data = file.read()
        done = transcribe("-", data=data)
        self.expect(done, cli.OK, "standard input")
        self.assertEqual(done.stdout, transcribe(CLIP).stdout)

    def test_pipe_into_a_folder(self):
        with open(CLIP, "rb") as file:
            self.expect(transcribe("-o", self.folder, "-", stdin=file), cli.OK)
        self.assertTrue(self.read("stdin.txt"))

    def test_headerless_samples(self):
        with wave.open(JFK) as file:
            data = file.readframes(file.getnframes())
        done = transcribe("--raw-format", "s16le", "--raw-rate", "16000", "--raw-channels", "1",
                          "-", data=data)
        self.expect(done, cli.OK)
        self.assertEqual(done.stdout, transcribe(JFK).stdout)

    def test_nothing_comes(self):
        self.expect(transcribe("-", data=b""), cli.INPUT, "standard input")


class BadInputs(cli.Case):
    """Each is told with its name, and the others of the call are still done."""

    def test_broken_files(self):
        for name in ("bad_text.mp3", "bad_random_bytes.wav", "bad_header_only.wav",
                     "bad_zero_rate.wav", "bad_truncated_no_moov.m4a"):
            with self.subTest(name=name):
                done = transcribe(fixture("audio/" + name))
                self.expect_one_line(done, cli.INPUT, name)

    def test_others_are_done(self):
        done = transcribe("-q", "no.wav", JFK, fixture("audio/bad_text.mp3"), CLIP, self.folder)
        self.expect(done, cli.INPUT, "no.wav", "bad_text.mp3", self.folder)
        self.assertEqual(done.stdout, transcribe("-q", JFK, CLIP).stdout)

    def test_content_decides_not_the_extension(self):
        self.expect(transcribe(fixture("audio/bad_wav_named.mp3")), cli.OK)

    def test_short_silent_and_not_numbers(self):
        for name in ("clip_50ms.wav", "silence_10s.wav", "bad_nan_inf_f32.wav"):
            with self.subTest(name=name):
                self.expect(run("transcribe", "--model", MODEL, "--max-tokens", "24",
                                fixture("audio/" + name)), cli.OK, name)

    def test_no_sound_is_no_recording_in_either_form(self):
        for form in ("batched", "sequential"):
            with self.subTest(form=form):
                self.expect_one_line(run("transcribe", "--model", MODEL, "-q", "--long-form", form,
                                         fixture("audio/bad_header_only.wav")), cli.INPUT,
                                     "bad_header_only.wav", "0 samples")

    def test_samples_that_are_no_numbers_are_counted(self):
        done = transcribe(fixture("audio/bad_nan_inf_f32.wav"))
        self.expect(done, cli.OK, "warning", "bad_nan_inf_f32.wav", "NaN")

    def test_truncated_gives_what_is_whole_and_a_warning(self):
        done = transcribe(fixture("audio/bad_truncated.flac"))
        self.expect(done, cli.OK, "warning", "bad_truncated.flac")
        self.assertTrue(done.stdout)


class BadModels(cli.Case):
    def test_wrong_families_and_no_models_at_all(self):
        self.write("words/config.json", b"{\"model_type\": \"bert\"}")
        self.write("text.bin", b"these are words, not weights" * 100)
        self.write("empty.bin")
        for path in (fixture("wav2vec2-base-micro"), fixture("aasist/AASIST.pth"),
                     fixture("silero-vad/silero_vad_16k.safetensors"), JFK, self.path("words"),
                     self.path("text.bin"), self.path("empty.bin"), self.folder):
            with self.subTest(path=path):
                self.expect_one_line(run("transcribe", "--model", path, JFK), cli.MODEL,
                                     os.path.basename(path))


class BadOutputs(cli.Case):
    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.expect(transcribe("-q", JFK, stdout=full), cli.OUTPUT, "standard output", "space")

    def test_closed_standard_output(self):
        done = run("transcribe", *MICRO, "-q", JFK, stdout=None, preexec_fn=lambda: os.close(1))
        self.expect(done, cli.OUTPUT, "standard output")

    def test_file_that_may_not_grow(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
        done = transcribe("-q", "-o", self.folder, JFK, preexec_fn=limit)
        self.expect(done, cli.OUTPUT, "jfk_16k.txt")
        self.assertEqual(os.listdir(self.folder), [])

    def test_failed_output_does_not_end_the_call(self):
        os.mkdir(self.path("jfk_16k.txt"))
        done = transcribe("-q", "-o", self.folder, JFK, CLIP)
        self.expect(done, cli.OUTPUT, "jfk_16k.txt")
        self.assertTrue(self.read("clip.txt"))

    def test_closed_pipe(self):
        with subprocess.Popen([cli.AURICLE, "transcribe", *MICRO, long_wav(self)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=cli.environment()) as process:
            process.stdout.read(1)
            process.stdout.close()
            text = process.stderr.read().decode()
            self.assertEqual(process.wait(240), cli.CLOSED_PIPE, text)
            self.assertIn("the program that reads it has ended", text)


def long_wav(case, times=60):
    """jfk again and again: much longer than any test waits for."""
    path = case.path("long.wav")
    with wave.open(JFK) as file:
        params, frames = file.getparams(), file.readframes(file.getnframes())
    with wave.open(path, "wb") as file:
        file.setparams(params)
        for _ in range(times):
            file.writeframes(frames)
    return path


class Interrupts(cli.Case):
    def interrupted(self, number, *args):
        with subprocess.Popen([cli.AURICLE, "transcribe", *MICRO, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0,
                              env=cli.environment()) as process:
            first = process.stdout.read(1)
            process.send_signal(number)
            out, err = process.communicate(timeout=240)
            return process.returncode, first + out, err.decode()

    def test_what_is_finished_is_kept(self):
        code, out, err = self.interrupted(signal.SIGINT, long_wav(self))
        self.assertEqual(code, cli.INTERRUPTED, err)
        self.assertIn("stopping, what is finished is kept", err)
        self.assertIn("what was heard until then is kept", err)
        self.assertTrue(out.endswith(b"\n"))
        self.assertEqual(self.interrupted(signal.SIGTERM, long_wav(self))[0], 143)

    def test_a_stopped_transcript_says_so(self):
        """The progress on a terminal tells when some of it has been heard."""
        terminal, stderr = pty.openpty()
        out, seen = self.path("out"), b""
        with subprocess.Popen([cli.AURICLE, "transcribe", *MICRO, "-f", "json,txt", "-o", out,
                               long_wav(self)], stderr=stderr,
                              env=cli.environment(TERM="xterm")) as process:
            os.close(stderr)
            while not re.search(rb"[1-9]\d? %", seen):
                seen += os.read(terminal, 4096)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(240), cli.INTERRUPTED)
        os.close(terminal)
        document = json.loads(self.read("out", "long.json"))
        self.assertRegex(document["warning"], r"^stopped after \d+ s of 660 s; ")
        self.assertEqual(document["duration"], 660)
        self.assertLess(document["segments"][-1]["end"], 600)
        self.assertEqual(self.read("out", "long.txt").split("\n")[0],
                         document["segments"][0]["text"].strip())

    def test_a_silent_pipe_is_left(self):
        """What a pipe does not hold has been read when the write returns; after that nothing comes."""
        with open(JFK, "rb") as file:
            wav = file.read()
        with open(fixture("audio/jfk.flac"), "rb") as file:
            flac = file.read()
        raw = ["--raw-format", "s16le", "-"]
        for args, data, said in (
                (["transcribe", *MICRO, *raw], bytes(400000), "nothing is written"),
                (["transcribe", *MICRO, "--batch-size", "1", *raw], wav[44:] * 9, "is kept, the rest"),
                (["transcribe", *MICRO, "-"], wav[:200000], "nothing is written"),
                (["transcribe", *MICRO, "--long-form", "sequential", "-"], flac[:400000],
                 "nothing is written"),
                (["lang", "--model", MODEL, *raw], bytes(400000), "before the language was known"),
                (["vad", "--vad", "energy", *raw], bytes(400000), "stopped after 1"),
                (["vad", "--vad", "energy", "-"], flac[:400000], "stopped")):
            with self.subTest(args=args), subprocess.Popen(
                    [cli.AURICLE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, env=cli.environment()) as process:
                process.stdin.write(data)
                process.stdin.flush()
                text = process.stdout.read(1) if "kept" in said else b""
                process.send_signal(signal.SIGINT)
                try:
                    self.assertEqual(process.wait(60), cli.INTERRUPTED)
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.fail("it is still there")
                self.assertIn(said, process.stderr.read().decode())
                self.assertEqual((text + process.stdout.read())[-1:], text and b"\n")

    def test_files_are_written_and_later_inputs_left(self):
        out = self.path("out")
        with subprocess.Popen([cli.AURICLE, "transcribe", *MICRO, "-v", "-o", out, JFK,
                               long_wav(self), CLIP], stderr=subprocess.PIPE,
                              env=cli.environment()) as process:
            for line in process.stderr:  # the first result is written, the long one has begun
                if re.search(rb"jfk_16k.txt: \d+ bytes written", line):
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=240)
            self.assertEqual(process.returncode, cli.INTERRUPTED)
        self.assertTrue(self.read("out", "jfk_16k.txt"))
        self.assertFalse(os.path.exists(self.path("out", "clip.txt")))


if __name__ == "__main__":
    unittest.main()
