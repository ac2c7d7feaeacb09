"""Whisper's encoder and decoder for training: matrix products in bfloat16, residual stream float32.

Parameters live as views of one flat float32 vector, in the order of `layout`, under the names of
Hugging Face's WhisperForConditionalGeneration. The same numerics as the reference: pre-norm blocks,
erf GELU, key projection without bias, sinusoidal encoder positions, tied output projection.
The two CTC heads (phones after a middle layer, letters at the top) exist for training only.
"""
import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F

from . import kernels as K
from .text import LETTERS, PHONES


@dataclass
class Size:
    width: int = 256
    heads: int = 4
    encoder_layers: int = 6
    decoder_layers: int = 3
    ffn: int = 1024
    n_mels: int = 80
    n_audio: int = 1500
    n_text: int = 448
    vocab: int = 2632
    phone_layer: int = 3

    def dict(self):
        return asdict(self)


def _attention_layout(prefix, d):
    out = []
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        out.append((f"{prefix}.{name}.weight", (d, d)))
        if name != "k_proj":
            out.append((f"{prefix}.{name}.bias", (d,)))
    return out


def _norm_layout(prefix, d):
    return [(f"{prefix}.weight", (d,)), (f"{prefix}.bias", (d,))]


def _ffn_layout(prefix, d, f):
    return [(f"{prefix}.fc1.weight", (f, d)), (f"{prefix}.fc1.bias", (f,)),
            (f"{prefix}.fc2.weight", (d, f)), (f"{prefix}.fc2.bias", (d,))]


def layout(s):
    """[(name, shape)] of every trained tensor."""
    d, f = s.width, s.ffn
    out = [("model.encoder.conv1.weight", (d, s.n_mels, 3)), ("model.encoder.conv1.bias", (d,)),
           ("model.encoder.conv2.weight", (d, d, 3)), ("model.encoder.conv2.bias", (d,))]
    for i in range(s.encoder_layers):
        p = f"model.encoder.layers.{i}"
        out += _norm_layout(f"{p}.self_attn_layer_norm", d) + _attention_layout(f"{p}.self_attn", d)
        out += _norm_layout(f"{p}.final_layer_norm", d) + _ffn_layout(p, d, f)
    out += _norm_layout("model.encoder.layer_norm", d)
    out += [("model.decoder.embed_tokens.weight", (s.vocab, d)),
            ("model.decoder.embed_positions.weight", (s.n_text, d))]
    for i in range(s.decoder_layers):
        p = f"model.decoder.layers.{i}"
        out += _norm_layout(f"{p}.self_attn_layer_norm", d) + _attention_layout(f"{p}.self_attn", d)
        out += _norm_layout(f"{p}.encoder_attn_layer_norm", d)
        out += _attention_layout(f"{p}.encoder_attn", d)
        out += _norm_layout(f"{p}.final_layer_norm", d) + _ffn_layout(p, d, f)
    out += _norm_layout("model.decoder.layer_norm", d)
    out += [("ctc_head.weight", (len(LETTERS), d)), ("ctc_head.bias", (len(LETTERS),)),
            ("phone_head.weight", (len(PHONES), d)), ("phone_head.bias", (len(PHONES),))]
    return out


def count(s):
    return sum(math.prod(shape) for _, shape in layout(s))


def views(flat, s):
    out, at = {}, 0
    for name, shape in layout(s):
        n = math.prod(shape)
        out[name] = flat[at:at + n].view(shape)
        at += n
    return out


def leaves(flat, grad, s):
    """The same views as leaf tensors whose gradients accumulate in the flat vector `grad`."""
    g = views(grad, s)
    out = {}
    for name, t in views(flat, s).items():
        out[name] = t.detach().requires_grad_()
        out[name].grad = g[name]
    return out


def initialise(s, seed):
    """Flat float32 vector of fresh weights."""
    g = torch.Generator().manual_seed(seed)
    flat = torch.zeros(count(s))
    depth = 2 * max(s.encoder_layers, s.decoder_layers)
    for name, t in views(flat, s).items():
        if "norm.weight" in name:
            t.fill_(1.0)
        elif name.endswith("bias"):
            t.zero_()
        elif "embed" in name:
            t.copy_(torch.randn(t.shape, generator=g) * 0.02)
        else:
            fan_in = math.prod(t.shape[1:])
            std = math.sqrt(1.0 / fan_in) * (math.sqrt(2) if "conv" in name else 0.8)
            if "out_proj" in name or "fc2" in name:
                std /= math.sqrt(depth) / 1.5
            t.copy_(torch.randn(t.shape, generator=g) * std)
    return flat


def sinusoids(length, width):
    rate = np.log(10000) / (width // 2 - 1)
    inverse = np.exp(-rate * np.arange(width // 2))
    angle = np.arange(length)[:, None] * inverse[None]
    return torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32))


class Whisper:
    """Functions over a dictionary of parameters `p` (views of the flat vector)."""

    def __init__(self, size):
        self.s = size
        self.watch = None  # a list here collects the decoder's cross attention, [B, heads, n, T]
        # Exported in bfloat16, so trained with the rounded table.
        self.positions = sinusoids(size.n_audio, size.width).to(torch.bfloat16).float()

    def _split(self, x):
        b, t, d = x.shape
        h = self.s.heads
        return x.view(b, t, h, d // h).transpose(1, 2).reshape(b * h, t, d // h)

    def _merge(self, x, b):
        n, t, d = x.shape
        return x.view(b, n // b, t, d).transpose(1, 2).reshape(b, t, n // b * d)

    def _attend_self(self, p, name, x):
        names = ("q_proj.weight", "q_proj.bias", "k_proj.weight", "v_proj.weight", "v_proj.bias")
        y = K.self_attention(x, *(p[f"{name}.{n}"] for n in names), self.s.heads)
        return K.linear(y, p[f"{name}.out_proj.weight"], p[f"{name}.out_proj.bias"])

    def _attend(self, p, name, x, source, causal=False):
        q = self._split(K.linear(x, p[f"{name}.q_proj.weight"], p[f"{name}.q_proj.bias"]))
        k = self._split(K.linear(source, p[f"{name}.k_proj.weight"]))
        v = self._split(K.linear(source, p[f"{name}.v_proj.weight"], p[f"{name}.v_proj.bias"]))
        score = torch.bmm(q * q.shape[-1] ** -0.5, k.transpose(1, 2)).float()  # an eighth: nothing is rounded
        if causal:
            n = score.shape[-1]
            mask = torch.ones(n, n, dtype=torch.bool, device=score.device).triu(1)
            score = score.masked_fill(mask, -1e9)
        weight = score.softmax(-1)
        if self.watch is not None and source is not x:
            self.watch.append(weight.view(x.shape[0], -1, *weight.shape[1:]))
        y = torch.bmm(weight.to(q.dtype), v)
        return K.linear(self._merge(y, x.shape[0]), p[f"{name}.out_proj.weight"],
                        p[f"{name}.out_proj.bias"])

    def _norm(self, p, name, x, y=None):
        """(x + y, layer norm of that)"""
        return K.add_norm(x, y, p[f"{name}.weight"], p[f"{name}.bias"])

    def _ffn(self, p, name, x):
        h = K.gelu(K.linear(x, p[f"{name}.fc1.weight"], p[f"{name}.fc1.bias"]))
        return K.linear(h, p[f"{name}.fc2.weight"], p[f"{name}.fc2.bias"])

    def encode(self, p, mel):
        """mel [B, frames, 80] normalised -> (states bf16 [B, frames/2, D], middle layer likewise)."""
        x = K.unfold(mel.to(torch.bfloat16), 1)
        w = p["model.encoder.conv1.weight"].permute(0, 2, 1).reshape(self.s.width, -1)
        x = K.gelu(K.linear(x, w, p["model.encoder.conv1.bias"]))
        x = K.unfold(x, 2)
        w = p["model.encoder.conv2.weight"].permute(0, 2, 1).reshape(self.s.width, -1)
        x = K.gelu(K.linear(x, w, p["model.encoder.conv2.bias"]))
        x = x.float() + self.positions[:x.shape[1]].to(x.device)
        middle = y = None
        for i in range(self.s.encoder_layers):
            name = f"model.encoder.layers.{i}"
            x, h = self._norm(p, f"{name}.self_attn_layer_norm", x, y)
            if i == self.s.phone_layer:
                middle = x
            y = self._attend_self(p, f"{name}.self_attn", h)
            x, h = self._norm(p, f"{name}.final_layer_norm", x, y)
            y = self._ffn(p, name, h)
        x, h = self._norm(p, "model.encoder.layer_norm", x, y)
        return h, middle if middle is not None else x

    def decode(self, p, tokens, states):
        """tokens [B, n] -> logits float32 [B, n, vocab]"""
        n = tokens.shape[1]
        x = F.embedding(tokens, p["model.decoder.embed_tokens.weight"])
        x = x + p["model.decoder.embed_positions.weight"][:n]
        y = None
        for i in range(self.s.decoder_layers):
            name = f"model.decoder.layers.{i}"
            x, h = self._norm(p, f"{name}.self_attn_layer_norm", x, y)
            y = self._attend(p, f"{name}.self_attn", h, h, causal=True)
            x, h = self._norm(p, f"{name}.encoder_attn_layer_norm", x, y)
            y = self._attend(p, f"{name}.encoder_attn", h, states)
            x, h = self._norm(p, f"{name}.final_layer_norm", x, y)
            y = self._ffn(p, name, h)
        return self._norm(p, "model.decoder.layer_norm", x, y)[1]

    def logits(self, p, hidden):
        return K.linear(hidden, p["model.decoder.embed_tokens.weight"])

    def letters(self, p, states):
        """Log-probabilities [B, T, letters] of the top CTC head."""
        return K.linear(states, p["ctc_head.weight"], p["ctc_head.bias"]).float().log_softmax(-1)

    def phones(self, p, middle):
        x = F.layer_norm(middle, (middle.shape[-1],)).to(torch.bfloat16)
        return K.linear(x, p["phone_head.weight"], p["phone_head.bias"]).float().log_softmax(-1)
