"""The C row operations behind autograd, or PyTorch's own where they cannot be used (GPU, no compiler).

They take and return bfloat16, except that `add_norm` keeps the residual stream in float32. Gradients of
weights that are leaves go straight to where model.leaves() put them.
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


def _where(t):
    return ptr(t) if t is not None else None


class _AddNorm(torch.autograd.Function):
    """The residual stream x takes up y, and its layer norm."""

    @staticmethod
    def forward(ctx, x, y, w, b):
        x = x.contiguous()
        rows, width = x.numel() // x.shape[-1], x.shape[-1]
        h, mean, rstd = torch.empty(x.shape, dtype=torch.bfloat16), torch.empty(rows), torch.empty(rows)
        total = torch.empty_like(x) if y is not None else x
        y = y.contiguous() if y is not None else None
        LIB.add_norm_forward(ptr(x), _where(y), ptr(w), ptr(b), ptr(total), ptr(h), ptr(mean), ptr(rstd),
                             _long(rows), _long(width))
        ctx.save_for_backward(total, w, mean, rstd)
        ctx.set_materialize_grads(False)
        ctx.added = y is not None
        return (total if ctx.added else x.view_as(x)), h

    @staticmethod
    def backward(ctx, ds, dh):
        x, w, mean, rstd = ctx.saved_tensors
        if dh is None:
            return ds, (ds.to(torch.bfloat16) if ctx.added else None), None, None
        dh, ds = dh.contiguous(), (ds.contiguous() if ds is not None else None)
        dx, dw, db = torch.empty_like(x), torch.zeros_like(w), torch.zeros_like(w)
        dy = torch.empty(x.shape, dtype=torch.bfloat16) if ctx.added else None
        LIB.add_norm_backward(ptr(dh), _where(ds), ptr(x), ptr(w), ptr(mean), ptr(rstd), ptr(dx), _where(dy),
                              ptr(dw), ptr(db), _long(mean.numel()), _long(x.shape[-1]))
        return dx, dy, dw, db


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


def _keep(w, dw):
    """Add a weight's gradient to where leaves() wants it; what autograd is to do with it instead."""
    if not w.is_leaf or w.grad is None:
        return dw.float()
    LIB.accumulate(ptr(w.grad), ptr(dw), _long(dw.numel()))
    return None


def _sum_rows(x):
    out = torch.empty(x.shape[1])
    LIB.column_sum(ptr(x), ptr(out), _long(x.shape[0]), _long(x.shape[1]))
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        wb = w.to(torch.bfloat16)
        x2 = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(x2, wb)
        ctx.shape, ctx.has_bias, ctx.w = x.shape, b is not None, w
        y = F.linear(x2, wb, b.to(torch.bfloat16) if b is not None else None)
        return y.view(*x.shape[:-1], w.shape[0])

    @staticmethod
    def backward(ctx, dy):
        x2, wb = ctx.saved_tensors
        dy2 = dy.reshape(-1, dy.shape[-1]).contiguous()
        dx = (dy2 @ wb).view(ctx.shape) if ctx.needs_input_grad[0] else None
        dw = _keep(ctx.w, dy2.t() @ x2)
        return dx, dw, _sum_rows(dy2) if ctx.has_bias else None


class _SelfAttention(torch.autograd.Function):
    """softmax(q k^T * scale) v of every head without a mask; x [B, T, D] bfloat16, D = heads * 64."""

    @staticmethod
    def forward(ctx, x, wq, bq, wk, wv, bv, heads):
        b, t, d = x.shape
        x2 = x.reshape(-1, d)
        w = torch.cat([wq, wk, wv]).to(torch.bfloat16)
        y = F.linear(x2, w, torch.cat([bq, torch.zeros_like(bq), bv]).to(torch.bfloat16))
        qkv = torch.empty(3, b * heads, t, d // heads, dtype=torch.bfloat16)
        LIB.split_heads(ptr(y), ptr(qkv), _long(b), _long(t), _long(heads), _long(3), 0)
        q, k, v = qkv
        p = torch.bmm(q, k.transpose(1, 2))
        row = torch.empty(t)
        ctx.scale = (d // heads) ** -0.5
        LIB.softmax_forward(ptr(p), C.c_float(ctx.scale), ptr(row), _long(b * heads * t), _long(t))
        ctx.save_for_backward(x2, w, qkv, p)
        ctx.leaves, ctx.shape, ctx.heads = (wq, wk, wv), x.shape, heads
        y = torch.bmm(p, v)
        out = torch.empty_like(x)
        LIB.split_heads(ptr(out), ptr(y), _long(b), _long(t), _long(heads), _long(1), 1)
        return out

    @staticmethod
    def backward(ctx, dout):
        x2, w, qkv, p = ctx.saved_tensors
        (b, t, d), heads = ctx.shape, ctx.heads
        q, k, v = qkv
        dout = dout.contiguous()
        dy, dqkv = torch.empty_like(q), torch.empty_like(qkv)
        LIB.split_heads(ptr(dout), ptr(dy), _long(b), _long(t), _long(heads), _long(1), 0)
        torch.bmm(p.transpose(1, 2), dy, out=dqkv[2])
        dp = torch.bmm(dy, v.transpose(1, 2))
        LIB.softmax_backward(ptr(p), ptr(dp), C.c_float(ctx.scale), _long(b * heads * t), _long(t))
        torch.bmm(dp, k, out=dqkv[0])
        torch.bmm(dp.transpose(1, 2), q, out=dqkv[1])
        dx3 = torch.empty(b * t, 3 * d, dtype=torch.bfloat16)
        LIB.split_heads(ptr(dx3), ptr(dqkv), _long(b), _long(t), _long(heads), _long(3), 1)
        dw = dx3.t() @ x2
        dwq, dwk, dwv = (_keep(leaf, part) for leaf, part in zip(ctx.leaves, dw.split(d)))
        db = _sum_rows(dx3)
        return (dx3 @ w).view(ctx.shape), dwq, db[:d], dwk, dwv, db[2 * d:], None


def _unfold(x, stride):
    """[B, T, C] padded by one on both sides -> [B, T / stride, 3 C]"""
    b, t, c = x.shape
    x = F.pad(x, (0, 0, 1, 1))
    return x.as_strided((b, t // stride, 3 * c), ((t + 2) * c, stride * c, 1)).reshape(-1, 3 * c)


class _Unfold(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, stride):
        ctx.shape, ctx.stride = x.shape, stride
        return _unfold(x, stride).view(x.shape[0], -1, 3 * x.shape[2])

    @staticmethod
    def backward(ctx, dy):
        b, t, c = ctx.shape
        n, s = t // ctx.stride, ctx.stride
        out = torch.zeros(b, t + 2, c, dtype=dy.dtype, device=dy.device)
        for tap in range(3):
            out[:, tap:tap + s * n:s] += dy[:, :, tap * c:(tap + 1) * c]
        return out[:, 1:-1], None


def unfold(x, stride):
    """Every `stride`-th frame of x [B, T, C] with its two neighbours, [B, T / stride, 3 C]."""
    return _Unfold.apply(x, stride)


def add_norm(x, y, w, b):
    """(x + y, its layer norm as bfloat16); x float32, y bfloat16 or None."""
    if _use(x):
        return _AddNorm.apply(x, y, w, b)
    x = x + y if y is not None else x
    return x, F.layer_norm(x, (x.shape[-1],), w, b).to(torch.bfloat16)


def gelu(x):
    return _Gelu.apply(x) if _use(x) else F.gelu(x)


def linear(x, w, b=None):
    if _use(x):
        return _Linear.apply(x, w, b)
    return F.linear(x, w.to(torch.bfloat16), b.to(torch.bfloat16) if b is not None else None)


def self_attention(x, wq, bq, wk, wv, bv, heads):
    if _use(x):
        return _SelfAttention.apply(x, wq, bq, wk, wv, bv, heads)
    b, t, d = x.shape
    q, k, v = (linear(x, w, c).view(b, t, heads, -1).transpose(1, 2)
               for w, c in ((wq, bq), (wk, None), (wv, bv)))
    p = ((q @ k.transpose(2, 3)).float() * (d // heads) ** -0.5).softmax(-1).to(q.dtype)
    return (p @ v).transpose(1, 2).reshape(b, t, d)
