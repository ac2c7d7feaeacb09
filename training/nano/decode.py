"""Greedy decoding in PyTorch from an exported folder or a training state: the reference for the engine.

The rules are those of openai/whisper at temperature 0: suppressed tokens, no blank first, timestamp
pairs, and the timestamp taken where all timestamps together are likelier than any text token.
"""
import json
import os

import numpy as np
import torch
import torch.nn.functional as F

from . import bpe, features, safetensors


class Reference:
    """The exported network in float32 (or bfloat16 products for quick looks), with key/value caches."""

    def __init__(self, tensors, config, tokenizer, kind=torch.float32):
        self.w = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in tensors.items()}
        self.kind, self.tok = kind, tokenizer
        self.matrix = {k: v.to(kind) for k, v in self.w.items() if v.dim() >= 2}
        self.layers = config["encoder_layers"], config["decoder_layers"]
        self.heads = config["encoder_attention_heads"]
        self.suppress = list(config.get("suppress_tokens") or [])
        self.begin_suppress = list(config.get("begin_suppress_tokens") or [])

    @classmethod
    def open(cls, folder, kind=torch.float32):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        return cls(safetensors.load(os.path.join(folder, "model.safetensors")), config,
                   bpe.Tokenizer.load(folder), kind)

    def _linear(self, x, name, bias=True):
        y = F.linear(x.to(self.kind), self.matrix[name + ".weight"]).float()
        return y + self.w[name + ".bias"] if bias else y

    def _norm(self, x, name):
        return F.layer_norm(x, (x.shape[-1],), self.w[name + ".weight"], self.w[name + ".bias"])

    def _split(self, x):
        b, t, d = x.shape
        return x.view(b, t, self.heads, -1).transpose(1, 2)

    def _mix(self, q, k, v, name, mask=None):
        score = (q.to(self.kind) @ k.to(self.kind).transpose(2, 3)).float() * q.shape[-1] ** -0.5
        if mask is not None:
            score = score + mask
        y = (score.softmax(-1).to(self.kind) @ v.to(self.kind)).float()
        b, h, t, d = y.shape
        return self._linear(y.transpose(1, 2).reshape(b, t, h * d), name + ".out_proj")

    def _ffn(self, x, name):
        h = self._norm(x, name + ".final_layer_norm")
        return x + self._linear(F.gelu(self._linear(h, name + ".fc1")), name + ".fc2")

    @torch.no_grad()
    def encode(self, mel):
        """mel [B, frames, 80] -> [B, frames / 2, D]"""
        x = mel.transpose(1, 2)
        for name, stride in (("model.encoder.conv1", 1), ("model.encoder.conv2", 2)):
            col = F.pad(x, (1, 1)).unfold(2, 3, stride)  # [B, C, T, 3]
            col = col.permute(0, 2, 1, 3).flatten(2)
            y = F.linear(col.to(self.kind), self.matrix[name + ".weight"].flatten(1)).float()
            x = F.gelu(y + self.w[name + ".bias"]).transpose(1, 2)
        x = x.transpose(1, 2)
        x = x + self.w["model.encoder.embed_positions.weight"][:x.shape[1]]
        for i in range(self.layers[0]):
            name = f"model.encoder.layers.{i}"
            h, a = self._norm(x, name + ".self_attn_layer_norm"), name + ".self_attn"
            q, k, v = (self._split(self._linear(h, f"{a}.{n}_proj", n != "k")) for n in "qkv")
            x = self._ffn(x + self._mix(q, k, v, a), name)
        return self._norm(x, "model.encoder.layer_norm")

    @torch.no_grad()
    def start(self, states):
        """Caches for one decode: cross keys and values, empty self keys and values."""
        cross = []
        for i in range(self.layers[1]):
            a = f"model.decoder.layers.{i}.encoder_attn"
            cross.append((self._split(self._linear(states, a + ".k_proj", False)),
                          self._split(self._linear(states, a + ".v_proj"))))
        return {"cross": cross, "self": [None] * self.layers[1], "n": 0}

    @torch.no_grad()
    def forward(self, cache, tokens):
        """tokens [B, n] appended to the cache -> logits [B, n, vocab]"""
        n, at = tokens.shape[1], cache["n"]
        x = self.w["model.decoder.embed_tokens.weight"][tokens]
        x = x + self.w["model.decoder.embed_positions.weight"][at:at + n]
        mask = torch.full((n, at + n), -1e9).triu(at + 1) if n > 1 else None
        for i in range(self.layers[1]):
            name = f"model.decoder.layers.{i}"
            h, a = self._norm(x, name + ".self_attn_layer_norm"), name + ".self_attn"
            q, k, v = (self._split(self._linear(h, f"{a}.{c}_proj", c != "k")) for c in "qkv")
            if cache["self"][i] is not None:
                k = torch.cat([cache["self"][i][0], k], 2)
                v = torch.cat([cache["self"][i][1], v], 2)
            cache["self"][i] = (k, v)
            x = x + self._mix(q, k, v, a, mask)
            h, a = self._norm(x, name + ".encoder_attn_layer_norm"), name + ".encoder_attn"
            q = self._split(self._linear(h, a + ".q_proj"))
            x = self._ffn(x + self._mix(q, *cache["cross"][i], a), name)
        cache["n"] += n
        h = self._norm(x, "model.decoder.layer_norm")
        return F.linear(h.to(self.kind), self.matrix["model.decoder.embed_tokens.weight"]).float()

    def detect_language(self, states):
        """[(code, no-speech probability)] per window, from the logits after start-of-transcript."""
        t = self.tok
        logits = self.forward(self.start(states), torch.full((len(states), 1), t.sot))[:, 0]
        first = t.language(bpe.LANGUAGES[0])
        best = logits[:, first:first + len(bpe.LANGUAGES)].argmax(-1)
        quiet = logits.softmax(-1)[:, t.no_speech]
        return [(bpe.LANGUAGES[int(b)], float(q)) for b, q in zip(best, quiet)]

    def greedy(self, states, langs, timestamps=False, longest=224):
        """Token lists (without the start sequence and end-of-text), one per window."""
        t = self.tok
        tail = [] if timestamps else [t.no_timestamps]
        prompt = [[t.sot, t.language(c), t.transcribe] + tail for c in langs]
        cache = self.start(states)
        logits = self.forward(cache, torch.tensor(prompt))[:, -1]
        out = [[] for _ in langs]
        self.margins = [[] for _ in langs]  # best minus second logit of every step
        done = [False] * len(langs)
        for _ in range(longest):
            step = []
            for i, tokens in enumerate(out):
                row = self._filter(logits[i].clone(), tokens, timestamps)
                token = t.eot if done[i] else int(row.argmax())
                done[i] = done[i] or token == t.eot
                if not done[i]:
                    tokens.append(token)
                    top = row.topk(2).values
                    self.margins[i].append(float(top[0] - top[1]))
                step.append([token])
            if all(done):
                break
            logits = self.forward(cache, torch.tensor(step))[:, -1]
        return out

    def _filter(self, row, tokens, timestamps):
        t, low = self.tok, -float("inf")
        row[self.suppress] = low
        row[t.no_timestamps] = low
        if not tokens:
            row[self.begin_suppress] = low
        if not timestamps:
            return row
        first = t.first_timestamp
        was = [x >= first for x in tokens]
        if was and was[-1]:
            if len(was) < 2 or was[-2]:
                row[first:] = low
            else:
                row[:t.eot] = low
        seen = [x for x in tokens if x >= first]
        if seen:
            floor = seen[-1] if was[-1] and not (len(was) < 2 or was[-2]) else seen[-1] + 1
            row[first:floor] = low
        if not tokens:
            row[:first] = low
            row[first + 51:] = low
        logp = row.log_softmax(-1)
        if logp[first:].logsumexp(-1) > logp[:first].max():
            row[:first] = low
        return row


def window(samples, frames=features.FRAMES):
    """The first window of a file as `transcribe` sees it: features of the file followed by 30 s of
    silence, normalised together, cut where the file ends and padded with zeros."""
    n = min(len(samples) // features.HOP, frames)
    logmel = features.log_mel(np.pad(samples, (0, 30 * 16000)))
    out = np.zeros((frames, features.N_MELS), np.float32)
    out[:n] = features.normalise(logmel)[:n]
    return torch.from_numpy(out)
