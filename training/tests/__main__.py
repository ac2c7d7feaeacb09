"""All tests of the training, as `make test` runs them; skipped as a whole where NumPy and SciPy are not installed."""
import os
import sys
import unittest

SKIP = 77  # the exit status that meson takes for skipped
FOLDER = os.path.dirname(os.path.abspath(__file__))


def main():
    try:
        import numpy  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as missing:
        print(f"the training is not tested: {missing} (tools/install-deps.sh training)")
        return SKIP
    tests = unittest.defaultTestLoader.discover(FOLDER, top_level_dir=os.path.dirname(FOLDER))
    return 0 if unittest.TextTestRunner().run(tests).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
