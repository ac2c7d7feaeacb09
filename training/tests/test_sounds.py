"""What a voice detector learns from: sounds that are no speech, scenes with their truth."""
import glob
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
try:
    import numpy as np
    from nano import audio, sounds
except ImportError as missing:
    np = missing
try:
    from nano import vad
except ImportError as missing:
    vad = missing
DEMO = sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../demo/talk.[fmo]*")))


@unittest.skipUnless(hasattr(np, "float32"), f"numpy or scipy is not installed ({np})")
class Sounds(unittest.TestCase):
    def test_each_is_a_function_of_its_seed_at_unit_level(self):
        for make in (*sounds.SOUNDS, *sounds.HELD_OUT):
            for seed in range(4):
                with self.subTest(sound=make.__name__, seed=seed):
                    x = make(5 * sounds.RATE, np.random.default_rng(seed))
                    self.assertEqual((x.shape, x.dtype), ((5 * sounds.RATE,), np.float32))
                    self.assertTrue(np.isfinite(x).all())
                    self.assertAlmostEqual(float(x.std()), 1, places=2)
                    np.testing.assert_array_equal(x, make(5 * sounds.RATE, np.random.default_rng(seed)))

    def test_what_is_held_out_is_not_learnt_from(self):
        self.assertFalse(set(sounds.HELD_OUT) & set(sounds.SOUNDS))

    @unittest.skipUnless(len(DEMO) > 1, "the recordings in demo/ are absent")
    def test_many_files_decode_as_one(self):
        many = list(audio.load_all(DEMO * 2, at_once=3))
        self.assertEqual(len(many), 2 * len(DEMO))
        for path, x in zip(DEMO * 2, many):
            np.testing.assert_array_equal(x, audio.load(path))


@unittest.skipUnless(hasattr(vad, "CHUNK"), f"PyTorch is not installed ({vad})")
class Scenes(unittest.TestCase):
    def setUp(self):
        self.noise = np.random.default_rng(3)
        self.material = vad.Material.__new__(vad.Material)
        speech = np.sin(np.arange(40000) * 0.2).astype(np.float32)
        speech[:8000] *= 1e-4
        self.material.clips, self.material.truth = [speech], [vad.activity(speech)]
        self.material.noise = [self.noise.standard_normal(30000).astype(np.float32)]
        self.material.pool, self.material.POOL = [], 3

    def test_truth_is_where_the_clip_is_loud(self):
        truth = self.material.truth[0]
        self.assertFalse(truth[:15].any())
        self.assertTrue(truth[16:].all())

    def test_scenes_have_truth_for_every_chunk(self):
        self.material.renew(self.noise)
        rng, quiet = random.Random(1), 0
        for _ in range(30):
            x, on = self.material.scene(4, rng, self.noise)
            self.assertEqual(len(x), len(on) * vad.CHUNK)
            self.assertTrue(np.isfinite(x).all())
            self.assertLess(np.abs(x).max(), 1.1)
            quiet += not on.any()
        self.assertTrue(3 < quiet < 20, quiet)  # a good part is background alone

    def test_the_pool_is_renewed_one_by_one(self):
        self.material.renew(self.noise)
        before = list(self.material.pool)
        self.material.renew(self.noise)
        self.assertEqual(len(self.material.pool), 3)
        self.assertIs(self.material.pool[0], before[1])


if __name__ == "__main__":
    unittest.main()
