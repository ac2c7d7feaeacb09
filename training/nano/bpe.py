"""Byte-level BPE: training, encoding, and Whisper's special tokens after the pieces.

The byte alphabet, the pre-tokenisation and the file forms (vocab.json, merges.txt,
added_tokens.json) are GPT-2's, so that any Whisper tokenizer reads the result. Python's `re` has no
\\p{L}; [^\\W\\d_] is the same set but for a few numeral signs that no text here contains.
"""
import functools
import json
import os
import re
from collections import Counter, defaultdict

PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")

LANGUAGES = ("en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta "
             "no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk "
             "sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb "
             "my bo tl mg as tt haw ln ha ba jw su").split()
N_TIMESTAMPS = 1501


@functools.lru_cache(None)
def byte_letters():
    """GPT-2's printable letter for each byte, in the order of the vocabulary."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {b: chr(b) for b in keep}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(keep))
    return table


def to_letters(piece):
    return "".join(byte_letters()[b] for b in piece.encode())


def train(lines, n_pieces):
    """Merges [(left, right)] learnt from the lines, n_pieces - 256 of them; ties by spelling."""
    words = Counter(to_letters(p) for line in lines for p in PIECE.findall(line))
    items = sorted(words.items())
    parts = [list(w) for w, _ in items]
    counts = [c for _, c in items]
    pairs, where = Counter(), defaultdict(set)
    for i, w in enumerate(parts):
        for pair in zip(w, w[1:]):
            pairs[pair] += counts[i]
            where[pair].add(i)
    merges = []
    while len(merges) < n_pieces - 256:
        best = max(pairs.items(), key=lambda kv: (kv[1], kv[0]))[0]
        merges.append(best)
        for i in list(where[best]):
            for pair in zip(parts[i], parts[i][1:]):
                pairs[pair] -= counts[i]
            parts[i] = merge(parts[i], best)
            for pair in zip(parts[i], parts[i][1:]):
                pairs[pair] += counts[i]
                where[pair].add(i)
        del pairs[best], where[best]
    return merges


def merge(word, pair):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        pieces = list(byte_letters().values()) + [a + b for a, b in self.merges]
        self.pieces = pieces
        self.id = {p: i for i, p in enumerate(pieces)}
        self.byte = {c: b for b, c in byte_letters().items()}
        names = ["<|endoftext|>", "<|startoftranscript|>"] + [f"<|{x}|>" for x in LANGUAGES]
        names += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
                  "<|notimestamps|>"]
        self.special = {n: len(pieces) + i for i, n in enumerate(names)}
        self.eot, self.sot = self.special["<|endoftext|>"], self.special["<|startoftranscript|>"]
        self.transcribe = self.special["<|transcribe|>"]
        self.prev = self.special["<|startofprev|>"]
        self.no_speech = self.special["<|nospeech|>"]
        self.no_timestamps = self.special["<|notimestamps|>"]
        self.first_timestamp = self.no_timestamps + 1
        self.size = self.first_timestamp + N_TIMESTAMPS
        self._cache = {}

    def language(self, code):
        return self.special[f"<|{code}|>"]

    def timestamp(self, seconds):
        return self.first_timestamp + min(N_TIMESTAMPS - 1, max(0, round(seconds / 0.02)))

    def encode(self, text):
        out = []
        for piece in PIECE.findall(text):
            if piece not in self._cache:
                self._cache[piece] = self._encode_piece(piece)
            out += self._cache[piece]
        return out

    def _encode_piece(self, piece):
        word = list(to_letters(piece))
        while len(word) > 1:
            best = min(zip(word, word[1:]), key=lambda p: self.rank.get(p, 1 << 30))
            if best not in self.rank:
                break
            word = merge(word, best)
        return [self.id[p] for p in word]

    def decode(self, ids):
        """Text of the ordinary pieces; special tokens and timestamps are left out."""
        letters = "".join(self.pieces[i] for i in ids if i < len(self.pieces))
        return bytes(self.byte[c] for c in letters).decode("utf-8", "replace")

    def save(self, folder):
        with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
            vocab = dict(self.id)
            vocab["<|endoftext|>"] = self.eot
            json.dump(vocab, f, ensure_ascii=False)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
            f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self.merges))
        added = {n: i for n, i in self.special.items() if n != "<|endoftext|>"}
        with open(os.path.join(folder, "added_tokens.json"), "w", encoding="utf-8") as f:
            json.dump(added, f, separators=(",", ":"))

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as f:
            return cls([tuple(line.split(" ")) for line in f.read().split("\n")[1:] if line])
