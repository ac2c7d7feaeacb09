"""The program and PyTorch write the same tokens from the exported weights (f32, greedy)."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "training"))
try:
    import torch
    from nano import audio, corpus, decode
except ImportError as missing:
    torch = missing

AURICLE = os.environ.get("AURICLE", os.path.join(ROOT, "build", "auricle"))
MODEL = os.environ.get("NANO_MODEL", os.path.join(ROOT, "models", "nano"))
SPEECH = os.environ.get("SPEECH", os.path.join(ROOT, "..", "shared", "speech"))
LONGEST_S = 12
MARGIN = 0.05  # logits; float32 against float32 differs by up to 0.03 after a dozen tokens


def clips():
    rows = [r for r in corpus.read_manifest(SPEECH) if r["split"] == "dev" and r["lang"] == "en"]
    rows = [r for r in rows if float(r["seconds"]) < LONGEST_S and r["file"].endswith(".flac")]
    return [os.path.join(SPEECH, r["file"]) for r in rows[:: max(1, len(rows) // 8)]][:8]


class SameTokens(unittest.TestCase):
    def setUp(self):
        if not hasattr(torch, "no_grad"):
            self.skipTest(f"PyTorch is not installed ({torch})")
        for path in (AURICLE, MODEL, SPEECH):
            if not os.path.exists(path):
                self.skipTest(f"{path} does not exist")

    def heard(self, path, folder):
        subprocess.run([AURICLE, "transcribe", "--quiet", "-m", MODEL, "--compute-type", "f32", "-l", "en",
                        "--temperature", "0", "--beam-size", "1", "--vad", "off", "--chunk-length", "30", "--no-filter", "--no-speech-threshold", "1.0", "--no-timestamps",
                        "--threads", "1", "-f", "json", "-o", folder, path], check=True)
        name = os.path.splitext(os.path.basename(path))[0] + ".json"
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            return [t for s in json.load(f)["segments"] for t in s["tokens"]]

    def test_greedy_tokens_of_single_windows(self):
        torch.set_num_threads(1)
        net = decode.Reference.open(MODEL)
        with tempfile.TemporaryDirectory() as folder:
            for path in clips():
                states = net.encode(decode.window(audio.load(path))[None])
                expected = net.greedy(states, ["en"], timestamps=False)[0]
                tokens = self.heard(path, folder)
                first, where = net.tok.first_timestamp, os.path.basename(path)
                spoken = [(t, m) for t, m in zip(expected, net.margins[0]) if t < first]
                tokens = [t for t in tokens if t < first]
                self.assertGreater(len(tokens), 0, where)
                for i, token in enumerate(tokens):
                    if i < len(spoken) and token == spoken[i][0]:
                        continue
                    # A difference counts only where PyTorch itself was not in doubt.
                    self.assertLess(i, len(spoken), f"{where}: more tokens than PyTorch")
                    self.assertLess(spoken[i][1], MARGIN, f"{where}: token {i} differs")
                    break


if __name__ == "__main__":
    unittest.main()
