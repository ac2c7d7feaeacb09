"""auricle wer: pairs of texts, rates, and everything that can be wrong with them."""

import json
import os
import threading
import unittest

import cli
from cli import run


def wer(*args, **more):
    return run("wer", *args, **more)


def counts(hits, substitutions, deletions, insertions):
    return {"reference": hits + substitutions + deletions, "hits": hits,
            "substitutions": substitutions, "deletions": deletions, "insertions": insertions}


class Files(cli.Case):
    def test_rates_of_two_files(self):
        ref = self.write("ref.txt", b"the quick brown fox jumps")
        hyp = self.write("hyp.txt", b"The quick, brown dog jumps high!")
        done = wer(ref, hyp)
        self.expect(done, cli.OK, "1 text compared")
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0], "WER  40.00 %  5 words: 4 hits, 1 substitutions, 0 deletions, "
                                   "1 insertions")
        self.assertTrue(lines[1].startswith("CER "))
        self.assertEqual(wer("-q", ref, hyp).stderr, "")

    def test_equal_texts(self):
        ref = self.write("ref.txt", "Grüße, Jürgen!".encode())
        document = json.loads(wer("-l", "german", "-f", "json", ref, ref).stdout)
        self.assertEqual((document["wer"], document["cer"]), (0, 0))
        self.assertEqual(document["normalizer"], "basic")
        self.assertEqual(document["language"], "de")
        self.assertIsNone(document["wer_interval"])

    def test_json_of_transcribe(self):
        ref = self.write("ref.txt", b"blue words")
        hyp = self.write("hyp.json", b'{"text": " blue words", "segments": []}')
        self.assertEqual(json.loads(wer("-f", "json", ref, hyp).stdout)["wer"], 0)

    def test_normalizers(self):
        ref = self.write("ref.txt", b"Mr. Smith won't")
        hyp = self.write("hyp.txt", b"mister smith will not")
        for name, rate in (("english", 0.0), ("basic", 0.75), ("none", 4 / 3)):
            document = json.loads(wer("-f", "json", "--normalizer", name, ref, hyp).stdout)
            self.assertAlmostEqual(document["wer"], rate, msg=name)
            self.assertEqual(document["normalizer"], name)

    def test_spelling_table(self):
        ref = self.write("ref.txt", b"my favourite colour")
        hyp = self.write("hyp.txt", b"my favorite color")
        table = self.write("table.json", b'{"favourite": "favorite"}')
        for args, errors in (([], 0), (["--spelling", table], 1), (["--spelling", "off"], 2)):
            document = json.loads(wer("-f", "json", *args, ref, hyp).stdout)
            self.assertEqual(document["words"]["substitutions"], errors, args)
            self.assertEqual(document["spelling_table"], args != ["--spelling", "off"])

    def test_languages_without_spaces_are_compared_by_character(self):
        ref = self.write("ref.txt", "今天 天气好".encode())
        hyp = self.write("hyp.txt", "今天天汽好".encode())
        document = json.loads(wer("-l", "zh", "-f", "json", ref, hyp).stdout)
        self.assertEqual(document["words"], counts(4, 1, 0, 0))

    def test_alignment(self):
        ref = self.write("ref.txt", b"red blue green")
        hyp = self.write("hyp.txt", b"red green black")
        text = wer("--normalizer", "none", "--align", ref, hyp).stdout.decode()
        self.assertIn("REF: red blue green *****\nHYP: red **** green black\nOP :     D          I\n",
                      text)
        document = json.loads(
            wer("--normalizer", "none", "--align", "-f", "json", ref, hyp).stdout)
        self.assertEqual(document["texts"][0]["alignment"],
                         [["hit", "red", "red"], ["deletion", "blue", None],
                          ["hit", "green", "green"], ["insertion", None, "black"]])

    def test_texts_of_nothing(self):
        empty, ref = self.write("empty.txt"), self.write("ref.txt", b"red blue")
        document = json.loads(wer("-f", "json", ref, empty).stdout)
        self.assertEqual((document["wer"], document["words"]), (1, counts(0, 0, 2, 0)))
        done = wer("-f", "json", empty, ref)
        self.expect(done, cli.OK, "warning", "empty.txt", "no words")
        self.assertEqual(json.loads(done.stdout)["words"], counts(0, 0, 0, 2))
        both = wer("-f", "json", empty, empty)
        self.assertEqual(json.loads(both.stdout)["wer"], 0)

    def test_bytes_that_are_no_utf8(self):
        bad = self.write("bad.txt", b"caf\xe9 noir")
        done = wer("-l", "fr", bad, bad)
        self.expect(done, cli.OK, "warning", "bad.txt", "UTF-8")
        done.stdout.decode()  # what is printed is UTF-8 all the same
        done = wer("-l", "fr", "--align", "--normalizer", "none", "-f", "json", bad, bad)
        self.assertEqual(json.loads(done.stdout)["texts"][0]["alignment"][0][1], "caf\ufffd")
        wide = self.write("wide.txt", "words".encode("utf-16"))
        self.expect_one_line(wer(bad, wide), cli.INPUT, "wide.txt", "UTF-16")
        marked = self.write("marked.txt", b"\xef\xbb\xbfred")
        plain = self.write("plain.txt", b"red")
        self.assertIn(b"WER   0.00 %", wer("--normalizer", "none", plain, marked).stdout)

    def test_pipes(self):
        ref = self.write("ref.txt", b"red blue")
        for data, hits in ((b"red blue", 2), (b"", 0), (b"red " * 20000, 1)):
            done = wer("-f", "json", ref, "-", data=data)
            self.expect(done, cli.OK)
            self.assertEqual(json.loads(done.stdout)["words"]["hits"], hits)
        self.expect_one_line(wer("-", "-", data=b"x"), cli.USAGE, "once")
        os.mkfifo(self.path("pipe"))
        writer = threading.Thread(target=self.write, args=("pipe", b"red"))
        writer.start()
        done = wer("-f", "json", ref, self.path("pipe"))
        writer.join()
        self.assertEqual(json.loads(done.stdout)["words"]["deletions"], 1)

    def test_a_text_cannot_write_to_the_terminal(self):
        bad = self.write("\x1b[31m.txt", b"\x1b[31m red")
        self.assertNotIn(b"\x1b", wer("--normalizer", "none", "--align", bad, bad).stdout)


class Folders(cli.Case):
    def fill(self):
        for name, ref, hyp in (("a", b"red blue", b"red blue"), ("b", b"green black", b"green white"),
                               ("c", b"grey pink", b"grey pink brown")):
            self.write(f"ref/{name}.txt", ref)
            self.write(f"hyp/{name}.txt", hyp)
        return self.path("ref"), self.path("hyp")

    def test_files_of_the_same_name_belong_together(self):
        ref, hyp = self.fill()
        self.write("hyp/a.srt", b"1\n00:00")
        self.write("hyp/a.json", b"not looked at")
        done = wer("-v", "-f", "json", ref, hyp)
        self.expect(done, cli.OK, "3 texts compared")
        document = json.loads(done.stdout)
        self.assertEqual(document["words"], counts(5, 1, 0, 1))
        self.assertEqual([text["id"] for text in document["texts"]], ["a", "b", "c"])
        low, high = document["wer_interval"]
        self.assertLessEqual(low, document["wer"])
        self.assertLessEqual(document["wer"], high)
        self.assertLess(low, high)
        self.assertEqual(wer("-v", "-f", "json", ref, hyp).stdout, done.stdout)

    def test_verbose_has_a_line_for_each_text(self):
        lines = wer("-v", *self.fill()).stdout.decode().splitlines()
        self.assertEqual([line.split(":")[0] for line in lines[:3]], ["a", "b", "c"])
        self.assertRegex(lines[3], r"^WER  33\.33 %  \[\d+\.\d\d, \d+\.\d\d\]  6 words")

    def test_missing_ones_are_named_and_left_out(self):
        ref, hyp = self.fill()
        self.write("ref/d.txt", b"never written down")
        self.write("hyp/e.txt", b"never said")
        done = wer("-f", "json", ref, hyp)
        self.expect(done, cli.INPUT, "d: no hypothesis", "warning: e: no reference")
        document = json.loads(done.stdout)
        self.assertEqual((document["missing"], document["unused"]), (["d"], ["e"]))
        self.assertEqual(document["words"], counts(5, 1, 0, 1))

    def test_many_missing_ones_do_not_flood(self):
        ref, hyp = self.fill()
        for number in range(30):
            self.write(f"ref/x{number}.txt", b"x")
        done = wer(ref, hyp)
        self.expect(done, cli.INPUT, "and 20 more")

    def test_a_bad_file_spoils_only_itself(self):
        ref, hyp = self.fill()
        self.write("ref/d.txt", b"words")
        self.write("hyp/d.json", b'{"words": []}')
        done = wer("-f", "json", ref, hyp)
        self.expect(done, cli.INPUT, "d.json", "\"text\"")
        self.assertEqual(json.loads(done.stdout)["n_texts"], 3)

    def test_no_matches(self):
        ref, hyp = self.fill()
        self.write("other/x.txt", b"x")
        self.expect_one_line(wer(ref, self.path("other")), cli.INPUT, "counterpart", "\"a\"", "\"x\"")
        self.write("sounds/x.wav", b"x")
        self.expect_one_line(wer(ref, self.path("sounds")), cli.INPUT, "sounds", ".txt")


class Lists(cli.Case):
    def test_lines_belong_together_by_id(self):
        ref = self.write("ref.tsv", b"z\tred blue\na\tgreen\n\n")
        hyp = self.write("hyp.tsv", b"\xef\xbb\xbfa\tgreen black\r\nz\tred blue\r\n")
        document = json.loads(wer("--tsv", "-v", "-f", "json", ref, hyp).stdout)
        self.assertEqual([text["id"] for text in document["texts"]], ["z", "a"])
        self.assertEqual(document["words"], counts(3, 0, 0, 1))

    def test_lists_that_are_none(self):
        good = self.write("good.tsv", b"a\tred\n")
        for name, data, words in (("plain", b"a\tred\nwords\n", [":2", "no TAB"]),
                                  ("anonymous", b"\tred\n", [":1", "no id"]),
                                  ("twice", b"a\tred\nb\tblue\na\tgreen\n", [":3", "\"a\"", "line 1"]),
                                  ("empty", b"", ["no line"]), ("nul", b"\0\0\0", ["no TAB"])):
            with self.subTest(name=name):
                path = self.write(name, data)
                self.expect_one_line(wer("--tsv", good, path), cli.INPUT, path, *words)
        self.expect_one_line(wer("--tsv", good, self.folder), cli.USAGE, self.folder)


class Mistakes(cli.Case):
    def test_what_is_not_there(self):
        ref = self.write("ref.txt", b"x")
        self.expect_one_line(wer(ref, "no.txt"), cli.INPUT, "no.txt", "no such")
        self.expect_one_line(wer("--tsv", ref, "no.tsv"), cli.INPUT, "ref.txt:1")
        self.expect_one_line(wer(ref, self.folder), cli.USAGE, "two folders")
        for args in ([], [ref], [ref, ref, ref]):
            self.expect_one_line(wer(*args), cli.USAGE, "two things")

    def test_options(self):
        ref = self.write("ref.txt", b"x")
        for args, words in ((["--language", "englsh"], ["english (en)"]),
                            (["--language", "auto"], ["\"auto\""]),
                            (["--normalizer", "swedish"], ["basic"]),
                            (["--format", "srt"], ["txt or json"])):
            with self.subTest(args=args):
                self.expect(wer(*args, ref, ref), cli.USAGE, *words)
        self.expect_one_line(wer("--spelling", "no.json", ref, ref), cli.USAGE, "--spelling",
                             "no.json")
        self.expect_one_line(wer("--spelling", ref, ref, ref), cli.USAGE, "ref.txt")
        self.expect_one_line(wer("-l", "de", "--spelling", ref, ref, ref), cli.USAGE, "English")

    def test_full_disk(self):
        ref = self.write("ref.txt", b"x")
        with open("/dev/full", "wb") as full:
            self.expect_one_line(wer(ref, ref, stdout=full), cli.OUTPUT, "standard output")


if __name__ == "__main__":
    unittest.main()
