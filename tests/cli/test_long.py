"""Two hours of speech need the memory of one minute and their transcript, in both long forms."""

import os
import re
import subprocess
import unittest
import wave

import cli
from cli import fixture

MODEL = fixture("whisper-micro/ggml-model-f16.bin")
JFK = fixture("audio/jfk_16k.wav")
ALLOWED_MIB = 64


class Memory(cli.Case):
    def speech_of(self, seconds):
        """A recording of about this length: one clip again and again, and its length."""
        with wave.open(JFK) as clip:
            frames, rate = clip.readframes(clip.getnframes()), clip.getframerate()
        path = self.path(f"{seconds}.wav")
        with wave.open(path, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            for _ in range(round(seconds * rate * 2 / len(frames))):
                out.writeframesraw(frames)
        return path

    def peak_mib(self, path, *more):
        """Peak resident memory of a run that must succeed and write something."""
        command = [cli.AURICLE, "transcribe", "--model", MODEL, "--language", "en", "--temperature",
                   "0", "--no-speech-threshold", "off", "--max-tokens", "8", "--format", "tsv",
                   "--cache", "off", "--quiet", *more, path]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   env=cli.environment())
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        self.assertEqual(process.returncode, 0)
        self.assertGreater(len(re.findall(rb"\n", out)), 1)
        return usage.ru_maxrss / 1024

    def compare(self, *more):
        minute = self.peak_mib(self.speech_of(60), *more)
        hours = self.peak_mib(self.speech_of(7200), *more)
        print(f"{' '.join(more)}: {minute:.0f} MiB for 1 minute, {hours:.0f} MiB for 2 hours")
        self.assertLess(hours - minute, ALLOWED_MIB)

    def test_sequential(self):
        self.compare("--long-form", "sequential")

    def test_batched(self):
        self.compare("--long-form", "batched")


if __name__ == "__main__":
    unittest.main()
