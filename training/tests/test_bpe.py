"""Byte-level BPE: training is deterministic, every string survives, ids follow Whisper's scheme."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from nano import bpe  # noqa: E402

LINES = [" the cat sat on the mat", " the dog, the log!", " Über den Wolken", " привет"] * 3


class Bpe(unittest.TestCase):
    def setUp(self):
        self.tok = bpe.Tokenizer(bpe.train(LINES, 280))

    def test_any_text_survives(self):
        for text in [" the cat", "The  cat's\n\n", " привет, мир 123", "\U0001f600 ñ\t_x_", ""]:
            self.assertEqual(self.tok.decode(self.tok.encode(text)), text)

    def test_frequent_words_become_pieces(self):
        self.assertEqual(len(self.tok.encode(" the")), 1)

    def test_merges_are_deterministic(self):
        self.assertEqual(self.tok.merges, bpe.train(LINES, 280))

    def test_special_tokens_follow_the_pieces_in_whispers_order(self):
        t = self.tok
        self.assertEqual(t.eot, 280)
        self.assertEqual(t.sot, 281)
        self.assertEqual(t.language("en"), 282)
        self.assertEqual(t.language("su"), 282 + 98)
        self.assertEqual(t.special["<|translate|>"], 381)
        self.assertEqual(t.no_timestamps, 386)
        self.assertEqual(t.timestamp(0.0), 387)
        self.assertEqual(t.timestamp(30.0), 387 + 1500)
        self.assertEqual(t.size, 387 + 1501)

    def test_files_round_trip(self):
        with tempfile.TemporaryDirectory() as folder:
            self.tok.save(folder)
            self.assertEqual(bpe.Tokenizer.load(folder).merges, self.tok.merges)

    def test_bytes_have_gpt2_ids(self):
        self.assertEqual(self.tok.encode("!"), [0])
        self.assertEqual(self.tok.encode(" ")[0], 220)


if __name__ == "__main__":
    unittest.main()
