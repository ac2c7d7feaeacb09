"""The C row operations behind autograd, or PyTorch's own where they cannot be used (GPU, no compiler).

`linear`, `layer_norm`, `gelu`, `attention` take and return bfloat16, except that layer_norm reads the
float32 residual stream.
"""
import ctypes as C
import hashlib
import os
import subprocess

import torch
import torch.nn.functional as F

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernels.c")
LIB = None


def build(folder):
    """Compile kernels.c once per source text into `folder` and load it; False if that fails."""
    global LIB
    with open(_SOURCE, "rb") as f:
        tag = hashlib.sha1(f.read()).hexdigest()[:12]
    path = os.path.join(folder, f"kernels-{tag}.so")
    if not os.path.exists(path):
        cmd = ["gcc", "-Ofast", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC",
               "-o", f"{path}.{os.getpid()}", _SOURCE, "-lm"]
        try:
            subprocess.run(cmd, check=True)
            os.rename(f"{path}.{os.getpid()}", path)
        except (OSError, subprocess.CalledProcessError):
            return False
    LIB = C.CDLL(path)
    LIB.add_and_norm.restype = C.c_double
    return True


def ptr(t):
    return C.c_void_p(t.data_ptr())


def _long(n):
    return C.c_long(n)


def _use(x):
    return LIB is not None and x.device.type == "cpu"


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        x = x.contiguous()
        rows, width = x.numel() // x.shape[-1], x.shape[-1]
        y = torch.empty(x.shape, dtype=torch.bfloat16)
        mean, rstd = torch.empty(rows), torch.empty(rows)
        LIB.ln_forward(ptr(x), ptr(w), ptr(b), ptr(y), ptr(mean), ptr(rstd), _long(rows), _long(width))
        ctx.save_for_backward(x, w, mean, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w, mean, rstd = ctx.saved_tensors
        dy = dy.contiguous()
        dx, dw, db = torch.empty_like(x), torch.zeros_like(w), torch.zeros_like(w)
        LIB.ln_backward(ptr(dy), ptr(x), ptr(w), ptr(mean), ptr(rstd), ptr(dx), ptr(dw), ptr(db),
                        _long(mean.numel()), _long(x.shape[-1]))
        return dx, dw, db


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        LIB.gelu_forward(ptr(x), ptr(y), _long(x.numel()))
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        dy = dy.contiguous()
        dx = torch.empty_like(x)
        LIB.gelu_backward(ptr(x), ptr(dy), ptr(dx), _long(x.numel()))
        return dx


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        wb = w.to(torch.bfloat16)
        x2 = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(x2, wb)
        ctx.shape, ctx.has_bias = x.shape, b is not None
        y = F.linear(x2, wb, b.to(torch.bfloat16) if b is not None else None)
        return y.view(*x.shape[:-1], w.shape[0])

    @staticmethod
    def backward(ctx, dy):
        x2, wb = ctx.saved_tensors
        dy2 = dy.reshape(-1, dy.shape[-1]).contiguous()
        dx = (dy2 @ wb).view(ctx.shape) if ctx.needs_input_grad[0] else None
        dw = (dy2.t() @ x2).float()
        db = None
        if ctx.has_bias:
            db = torch.empty(dy2.shape[1])
            LIB.column_sum(ptr(dy2), ptr(db), _long(dy2.shape[0]), _long(dy2.shape[1]))
        return dx, dw, db


class _Attention(torch.autograd.Function):
    """softmax(q k^T * scale) v without a mask; q [N,T,d], k and v [N,S,d], all bfloat16."""

    @staticmethod
    def forward(ctx, q, k, v, scale):
        p = torch.bmm(q, k.transpose(1, 2))
        row = torch.empty(p.shape[-1])
        LIB.softmax_forward(ptr(p), C.c_float(scale), ptr(row), _long(p.shape[0] * p.shape[1]),
                            _long(p.shape[2]))
        ctx.save_for_backward(q, k, v, p)
        ctx.scale = scale
        return torch.bmm(p, v)

    @staticmethod
    def backward(ctx, dy):
        q, k, v, p = ctx.saved_tensors
        dy = dy.contiguous()
        dv = torch.bmm(p.transpose(1, 2), dy)
        dp = torch.bmm(dy, v.transpose(1, 2))
        LIB.softmax_backward(ptr(p), ptr(dp), C.c_float(ctx.scale), _long(p.shape[0] * p.shape[1]),
                             _long(p.shape[2]))
        return torch.bmm(dp, k), torch.bmm(dp.transpose(1, 2), q), dv, None


def layer_norm(x, w, b):
    if _use(x):
        return _LayerNorm.apply(x, w, b)
    return F.layer_norm(x, (x.shape[-1],), w, b).to(torch.bfloat16)


def gelu(x):
    return _Gelu.apply(x) if _use(x) else F.gelu(x)


def linear(x, w, b=None):
    if _use(x):
        return _Linear.apply(x, w, b)
    return F.linear(x, w.to(torch.bfloat16), b.to(torch.bfloat16) if b is not None else None)


def attention(q, k, v, scale):
    if _use(q):
        return _Attention.apply(q, k, v, scale)
    p = (torch.bmm(q, k.transpose(1, 2)).float() * scale).softmax(-1).to(q.dtype)
    return torch.bmm(p, v)
