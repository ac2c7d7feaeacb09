"""The safetensors file: eight bytes of header length, a JSON header, the data."""
import json

import numpy as np

_SIZE = {"F32": 4, "F16": 2, "BF16": 2}


def to_bf16(x):
    """float32 -> uint16, rounded to nearest even."""
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(h):
    return (h.astype(np.uint32) << 16).view(np.float32)


def save(path, tensors, kind="BF16", metadata=None):
    """tensors: {name: float32 array}"""
    header, at, blobs = {"__metadata__": {"format": "pt", **(metadata or {})}}, 0, []
    for name in sorted(tensors):
        x = np.asarray(tensors[name], np.float32)
        data = (to_bf16(x) if kind == "BF16" else x.astype(
            np.float16 if kind == "F16" else np.float32)).tobytes()
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        blobs.append(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head)
        for data in blobs:
            f.write(data)


def load(path):
    """{name: float32 array}"""
    with open(path, "rb") as f:
        data = f.read()
    n = int.from_bytes(data[:8], "little")
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        raw = data[8 + n + a:8 + n + b]
        if t["dtype"] == "BF16":
            x = from_bf16(np.frombuffer(raw, np.uint16))
        else:
            x = np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[t["dtype"]]).astype(np.float32)
        out[name] = x.reshape(t["shape"])
    return out
