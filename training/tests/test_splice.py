"""Cutting recordings at word ends: the CTC path is the best one, cuts are where it is quiet, joins say what is in them."""
import itertools
import os
import random
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from nano import batching, bpe, splice, text  # noqa: E402
from tests.test_labels import small_corpus  # noqa: E402


def collapse(path):
    return [k for k, _ in itertools.groupby(path) if k]


class BestPath(unittest.TestCase):
    def test_against_all_paths(self):
        rng = np.random.default_rng(3)
        for labels in ([1, 2], [2, 2], [1], [1, 2, 1]):
            for _ in range(10):
                logp = np.log(rng.dirichlet(np.ones(3), 5))
                paths = [p for p in itertools.product(range(3), repeat=5) if collapse(p) == labels]
                best = max(paths, key=lambda p: sum(logp[t, k] for t, k in enumerate(p)))
                where = splice.best_path(logp, np.array(labels))
                runs, t = [], 0
                for k, run in itertools.groupby(best):
                    n = len(list(run))
                    if k:
                        runs.append([t, t + n - 1])
                    t += n
                self.assertEqual(where.tolist(), runs)

    def test_no_room(self):
        self.assertIsNone(splice.best_path(np.zeros((2, 4)), np.array([1, 2, 3])))


def spoken(words):
    """Features and letter log-probabilities of words of 40 frames each with quiet between them, [frames, 80]."""
    logmel, letters = np.full((30 + 60 * len(words), 80), -6.0), []
    logp = np.full((len(logmel) // 2, len(text.LETTERS)), -9.0)
    logp[:, 0] = -0.1
    for i, word in enumerate(words):
        begin = 30 + 60 * i
        logmel[begin:begin + 40] = -2.0
        letters = text.letters(word)
        for j, k in enumerate(letters):
            logp[begin // 2 + 2 + 2 * j, k] = 0
        logp[(begin + 48) // 2, 1] = 0  # the space
    return logmel, logp


class Pieces(unittest.TestCase):
    def test_cuts_lie_between_words(self):
        words = ["one", "two,", "three"]
        logmel, logp = spoken(words)
        pieces = splice.pieces(logmel, logp, " ".join(words))
        self.assertEqual([w for *_, w in pieces], words)
        self.assertEqual((pieces[0][0], pieces[-1][1]), (0, len(logmel)))
        for i, (_, end, _) in enumerate(pieces[:-1]):
            self.assertTrue(30 + 60 * i + 39 <= end <= 30 + 60 * (i + 1), (i, end))

    def test_no_cut_where_it_is_loud(self):
        logmel, logp = spoken(["one", "two"])
        logmel[30:130] = -2.0
        self.assertEqual(splice.pieces(logmel, logp, "one two"), [(0, len(logmel), "one two")])

    def test_words_without_letters_are_not_cut(self):
        logmel, logp = spoken(["one", "two"])
        self.assertEqual(splice.pieces(logmel, logp, "one - two"), [])


class Windows(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.corpus = small_corpus(self.folder.name)
        clips = [c for c in self.corpus.clips if c["group"] == "real en-lj"]
        cuts = {self.corpus.key(c): [(0, 30, "Word"), (30, c["n"], "number " + c["text"].split()[-1] + ".")]
                for c in clips}
        self.splicer = splice.Splicer(self.corpus, cuts)

    def tearDown(self):
        self.folder.cleanup()

    def test_features_are_those_of_the_text(self):
        rng = random.Random(1)
        for _ in range(50):
            clip = self.splicer.pick(rng, "real en-lj", 400)
            self.assertLessEqual(clip["n"], 400)
            x = self.corpus.logmel(clip)
            self.assertEqual(len(x), clip["n"])
            at, said = 0, []
            for part, begin, end in clip["pieces"]:
                np.testing.assert_array_equal(x[at:at + end - begin], self.corpus.logmel(part)[begin:end])
                at += end - begin
                number = part["text"].split()[-1]
                said += (["word"] if begin == 0 else []) + (["number", number] if end == part["n"] else [])
            plain = clip["text"].lower().replace(".", "").split()
            self.assertEqual(plain, said)
            self.assertTrue(clip["text"][0].isupper())
            self.assertNotIn(".", clip["text"][:-1])

    def test_the_decoder_learns_from_them(self):
        tok = bpe.Tokenizer(bpe.train([" word number one two three"] * 3, 270))
        maker = batching.Maker(self.corpus, tok, 1)
        maker.weights, maker.only_ctc, maker.splicer = {"real en-lj": 1.0}, 1.0, self.splicer
        windows = [w for w in maker.batch(60, 400, 0.0) if w["letters"]]
        taught = [sum(t >= 0 for t in w["target"]) > 1 for w in windows]
        spliced = [w["phones"] is None for w in windows]
        self.assertEqual(taught, spliced)
        self.assertTrue(0.3 < sum(spliced) / len(windows) < 0.9)

    def test_no_pieces_no_clip(self):
        self.assertIsNone(self.splicer.pick(random.Random(1), "espeak", 400))
        self.assertIsNone(self.splicer.pick(random.Random(1), "real en-lj", 20))


class Sentences(unittest.TestCase):
    def test_capitals_and_stops(self):
        self.assertEqual(splice.sentence([("He ran.", True), ("I saw", True), ("London,", False),
                                          ("There is.", True)]), "He ran I saw London there is.")


if __name__ == "__main__":
    unittest.main()
