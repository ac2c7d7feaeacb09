"""The safetensors writer: layout of the file, and bfloat16 rounding to nearest even."""
import json
import os
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from nano import safetensors  # noqa: E402


class Safetensors(unittest.TestCase):
    def test_round_trip_and_header(self):
        rng = np.random.default_rng(3)
        tensors = {"b": rng.standard_normal((3, 5)).astype(np.float32), "a": np.arange(4, dtype=np.float32)}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.safetensors")
            for kind, bound in (("F32", 0), ("F16", 1e-3), ("BF16", 2 ** -8)):
                safetensors.save(path, tensors, kind)
                with open(path, "rb") as f:
                    data = f.read()
                n = int.from_bytes(data[:8], "little")
                self.assertEqual(n % 8, 0)
                header = json.loads(data[8:8 + n])
                self.assertEqual(header["b"]["shape"], [3, 5])
                end = max(t["data_offsets"][1] for k, t in header.items() if k != "__metadata__")
                self.assertEqual(8 + n + end, len(data))
                for name, x in safetensors.load(path).items():
                    self.assertLessEqual(np.abs(x - tensors[name]).max(), bound * 4)

    def test_bf16_rounds_to_nearest_even(self):
        x = np.array([1.0, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -7], np.float32)
        back = safetensors.from_bf16(safetensors.to_bf16(x))
        np.testing.assert_array_equal(back, np.float32([1.0, 1.0, 1 + 2 ** -6, -1 - 2 ** -7]))


if __name__ == "__main__":
    unittest.main()
