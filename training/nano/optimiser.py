"""One update of the shared weights: Muon for the matrices of the blocks, Adam for everything else.

Muon (Keller Jordan) takes the running mean of a matrix's gradients, makes its singular values equal by
a few Newton-Schulz steps in bfloat16, and scales the result so that the change is as large as Adam's
at the same rate. Convolutions, embeddings, heads, norms and biases are Adam's.
"""
import ctypes as C
import math

import torch

from . import kernels as K
from . import model as M

CLIP, DECAY = 1.0, 0.01
MOMENTUM = 0.95
ADAM_B1, ADAM_B2, ADAM_EPS = 0.9, 0.98, 1e-8
LONGEST_AVERAGE = 0.998


def orthogonal(x, steps=5):
    """Matrices [n, a, b], a <= b, made nearly orthogonal."""
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(torch.bfloat16)
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x


class Optimiser:
    """Works on the flat vectors of a trainer.Shared; holds no state of its own."""

    def __init__(self, size):
        self.groups, self.rest, at = {}, [], 0
        for name, shape in M.layout(size):
            n = math.prod(shape)
            if ".layers." in name and len(shape) == 2:
                self.groups.setdefault(tuple(sorted(shape)), []).append((at, shape))
            elif self.rest and sum(self.rest[-1]) == at:
                self.rest[-1] = (self.rest[-1][0], self.rest[-1][1] + n)
            else:
                self.rest.append((at, n))
            at += n

    def update(self, s, grad, scale, rate, n):
        """Update number n from `grad` times `scale`."""
        keep = min(LONGEST_AVERAGE, (n + 1) / (n + 20))
        for at, size in self.rest:
            part = slice(at, at + size)
            _adam(s.weights[part], grad[part], s.m[part], s.v[part], s.ema[part], scale, rate, n, keep)
        for shape, places in self.groups.items():
            self._muon(s, grad, scale, rate, keep, shape, places)

    @staticmethod
    def _muon(s, grad, scale, rate, keep, shape, places):
        size = math.prod(shape)
        mean = torch.empty(len(places), *shape, device=grad.device)
        for i, (at, own) in enumerate(places):
            g, m = grad[at:at + size] * (scale * (1 - MOMENTUM)), s.m[at:at + size]
            m.mul_(MOMENTUM).add_(g)
            ahead = torch.add(g, m, alpha=MOMENTUM).view(own)
            mean[i] = ahead if own == shape else ahead.t()
        change = orthogonal(mean).float()
        step = rate * 0.2 * math.sqrt(max(shape))
        for i, (at, own) in enumerate(places):
            w = s.weights[at:at + size]
            c = change[i] if own == shape else change[i].t()
            w.mul_(1 - rate * DECAY).sub_(c.reshape(-1), alpha=step)
            s.ema[at:at + size].mul_(keep).add_(w, alpha=1 - keep)


def _adam(w, g, m, v, ema, scale, rate, n, keep):
    k1, k2 = 1 / (1 - ADAM_B1 ** n), 1 / (1 - ADAM_B2 ** n)
    if K.LIB is not None:
        f = C.c_float
        K.LIB.adam_step(K.ptr(w), K.ptr(g), K.ptr(m), K.ptr(v), K.ptr(ema), f(scale), f(rate), f(ADAM_B1),
                        f(ADAM_B2), f(ADAM_EPS), f(DECAY), f(k1), f(k2), f(keep), C.c_long(g.numel()))
        return
    g = g * scale
    m.mul_(ADAM_B1).add_(g, alpha=1 - ADAM_B1)
    v.mul_(ADAM_B2).addcmul_(g, g, value=1 - ADAM_B2)
    w.sub_(rate * (m * k1 / ((v * k2).sqrt() + ADAM_EPS) + DECAY * w))
    ema.mul_(keep).add_(w, alpha=1 - keep)
