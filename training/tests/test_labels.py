"""Packing: labels follow Whisper's scheme, times lie in the window, nothing outruns its space."""
import json
import os
import random
import sys
import tempfile
import unittest
import unittest.mock

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from nano import batching, bpe, corpus, features, metrics, text  # noqa: E402


def small_corpus(folder):
    rng = np.random.default_rng(0)
    for name, group, lang in (("a", "espeak", "en"), ("b", "foreign", "de"), ("c", "real en-lj", "en"),
                              ("n", "noise", "")):
        clips, at = [], 0
        for i in range(30):
            n = 60 + 10 * i
            clips.append({"at": at, "n": n, "speech": [20, n - 20] if lang else [0, 0],
                          "text": f"word number {i}" if lang else "", "lang": lang, "voice": "v",
                          "group": group, "ipa": "wɜːd nʌmbɚ" if lang else ""})
            at += n
        rng.integers(60, 200, (at, 80)).astype(np.uint8).tofile(os.path.join(folder, name + ".mel"))
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(clips, f)
    return corpus.Corpus(folder)


class Labels(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tok = bpe.Tokenizer(bpe.train([" word number one two three"] * 3, 270))
        self.maker = batching.Maker(small_corpus(self.folder.name), self.tok, 1)
        self.maker.weights = {"espeak": 0.8, "foreign": 0.2}

    def tearDown(self):
        self.folder.cleanup()

    def check(self, w, frames):
        t = self.tok
        self.assertEqual(w["mel"].shape, (frames, 80))
        self.assertTrue(np.isfinite(w["mel"]).all())
        self.assertLessEqual(w["n"], frames)
        self.assertEqual(len(w["tokens"]), len(w["target"]))
        self.assertIn(t.sot, w["tokens"])
        sot = w["tokens"].index(t.sot)
        self.assertTrue(all(x == -1 for x in w["target"][:sot]))
        self.assertEqual(w["target"][-1], t.eot)
        if w["target"][sot] == t.no_speech:
            return
        self.assertEqual(w["tokens"][sot + 2], t.transcribe)
        self.assertEqual(w["target"][sot:-1], w["tokens"][sot + 1:])
        times = [x - t.first_timestamp for x in w["tokens"] if x >= t.first_timestamp]
        self.assertEqual(times, sorted(times))
        self.assertTrue(all(0 <= x <= frames / 2 for x in times))
        if w["letters"] is not None:
            self.assertGreater(len(w["letters"]), 0)

    def test_windows_of_all_kinds(self):
        for frames, pack in ((240, 0.0), (1000, 0.7), (3000, 0.7)):
            for w in self.maker.batch(40, frames, pack):
                self.check(w, frames)

    def test_recordings_teach_the_encoder_and_the_language(self):
        self.maker.weights, self.maker.only_ctc = {"real en-lj": 1.0}, 1.0
        for w in self.maker.batch(20, 400, 0.0):
            sot = w["tokens"].index(self.tok.sot)
            if w["target"][sot] == self.tok.no_speech:
                continue
            taught = [(i, x) for i, x in enumerate(w["target"]) if x >= 0]
            self.assertEqual(taught, [(sot, self.tok.language("en"))])
            self.assertGreater(len(w["letters"]), 0)
            self.assertEqual(w["when"], [None] * len(w["target"]))

    def test_recordings_are_masked_more(self):
        strengths = {"espeak": set(), "real en-lj": set()}
        self.maker.strength = 0.2
        with unittest.mock.patch.object(batching, "spec_augment") as augment:
            augment.side_effect = lambda x, n, rng, strength: strengths[group].add(strength) or x
            for group in strengths:
                self.maker.weights = {group: 1.0}
                self.maker.batch(20, 400, 0.5)
        self.assertEqual(strengths["espeak"], {0.2})
        self.assertEqual(strengths["real en-lj"], {0.2 * batching.RECORDED_MASKS})

    def test_short_windows_are_filled(self):
        self.maker.sampler.noise.clear()
        longest = max(self.maker.sampler.lengths["espeak", "en"])
        sampler, key = self.maker.sampler, ("espeak", "en")
        lengths = {sampler.pick(self.maker.rng, key, longest, 100)["n"] for _ in range(200)}
        self.assertGreaterEqual(min(lengths), 100)
        self.assertEqual(max(lengths), longest)
        few = {sampler.pick(self.maker.rng, key, longest, longest - 50)["n"] for _ in range(200)}
        self.assertLess(min(few), 100)  # too few that long: any

    def test_padding_is_zero_after_the_audio(self):
        for w in self.maker.batch(20, 1000, 0.0):
            if w["n"] < 1000:
                self.assertEqual(float(np.abs(w["mel"][w["n"]:]).max()), 0.0)

    def test_a_lone_clip_may_lie_anywhere(self):
        self.maker.sampler.noise.clear()
        self.maker.noise = 0
        starts = [w["n"] for w in self.maker.batch(300, 3000, 0.0)]
        self.assertGreater(max(starts), 2500)  # audio up to a late frame: the longest clip has 350
        self.assertLess(min(starts), 500)

    def test_packed_windows_are_full(self):
        self.maker.sampler.noise.clear()
        self.maker.noise = 0
        full = [w["n"] / 3000 for w in self.maker.batch(40, 3000, 1.0)]
        self.assertGreater(sum(full) / len(full), 0.9)

    def test_pauses_are_made_of_the_clip_s_own_quiet(self):
        line = batching.Line(self.maker.corpus, random.Random(2))
        x = np.arange(100, dtype=np.float32)[:, None].repeat(80, 1)
        clip = {"speech": [20, 80], "n": 100}
        line.add(clip, x, 1.0, 30)
        line.add(clip, x, 1.0, 0)
        self.assertEqual((line.at, line.spans), (230, [(50.0, 110.0), (150.0, 210.0)]))
        pause = np.concatenate(line.parts)[:30, 0]
        self.assertTrue(all(v < 17 or v >= 83 for v in pause) or set(pause) == {np.float32(-10)})

    def test_collate_fills_with_ignored_targets(self):
        batch = batching.collate(self.maker.batch(8, 600, 0.5), self.tok.eot)
        self.assertEqual(batch["tokens"].shape, batch["target"].shape)
        self.assertTrue((batch["target"][batch["tokens"] == self.tok.eot] <= self.tok.eot).all())


class Texts(unittest.TestCase):
    def test_letters_of_other_scripts(self):
        spell = "".join(text.LETTERS[i] for i in text.letters("Straße, мир"))
        self.assertEqual(spell, "strasse mir")

    def test_numbers_in_words(self):
        self.assertEqual(text.number_words(1963), "one thousand nine hundred and sixty-three")

    def test_clean_strips_quotes(self):
        self.assertEqual(text.clean('"I\'m here," she said .'), "I'm here, she said.")


class Features(unittest.TestCase):
    def test_quantised_features_stay_close(self):
        x = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
        m = features.log_mel(x)
        self.assertEqual(m.shape, (100, 80))
        self.assertLess(np.abs(features.dequantise(features.quantise(m)) - m).max(), 0.03)


class Metrics(unittest.TestCase):
    def test_word_error_rate(self):
        rate, low, high = metrics.error_rate([("The cat sat.", "the cat"), ("a b", "a c b")])
        self.assertAlmostEqual(rate, 2 / 5)
        self.assertLessEqual(low, rate)
        self.assertGreaterEqual(high, rate)

    def test_edit_distance_against_recursion(self):
        def slow(a, b):
            if not a or not b:
                return len(a) + len(b)
            return min(slow(a[1:], b[1:]) + (a[0] != b[0]), slow(a[1:], b) + 1, slow(a, b[1:]) + 1)
        rng = random.Random(5)
        for _ in range(40):
            a, b = ("".join(rng.choice("ab") for _ in range(rng.randrange(6))) for _ in "ab")
            self.assertEqual(metrics.distance(a, b), slow(a, b))


if __name__ == "__main__":
    unittest.main()
