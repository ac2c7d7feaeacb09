"""Muon's orthogonal steps, and the loss that must not end text early."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
try:
    import torch
    from nano import model, optimiser, trainer
except ImportError as missing:
    torch = missing


@unittest.skipUnless(hasattr(torch, "no_grad"), f"PyTorch is not installed ({torch})")
class Updates(unittest.TestCase):
    def test_singular_values_become_equal(self):
        torch.manual_seed(1)
        values = torch.linalg.svdvals(optimiser.orthogonal(torch.randn(3, 64, 256)).float())
        self.assertGreater(float(values.min()), 0.6)
        self.assertLess(float(values.max()), 1.3)

    def test_every_weight_is_moved_once(self):
        size = model.Size(width=64, heads=1, encoder_layers=1, decoder_layers=1, ffn=128, vocab=300)
        shared = trainer.Shared(size, torch.zeros(model.count(size)))
        torch.manual_seed(2)
        optimiser.Optimiser(size).update(shared, torch.randn(model.count(size)), 1.0, 1e-3, 1)
        moved = shared.weights.abs()
        self.assertEqual(int((moved == 0).sum()), 0)
        self.assertLess(float(moved.max()), 1.5e-2)
        self.assertTrue(torch.isfinite(shared.ema).all())

    def test_smoothing_gives_nothing_to_timestamps(self):
        eot, wanted = 10, torch.tensor([3])
        logits = torch.zeros(1, 400, requires_grad=True)
        trainer.piece_loss(logits, wanted, eot).backward()
        # What every token is pushed down by is its probability, whole, where it is no piece.
        self.assertTrue(torch.allclose(logits.grad[0, eot:], torch.full((390,), 1 / 400), atol=1e-6))
        self.assertLess(float(logits.grad[0, 4]), 1 / 400)


if __name__ == "__main__":
    unittest.main()
