#!/usr/bin/env python3
"""Makes digits.npy and digits.txt: the UCI optical digits, 8 x 8 pixels each, from scikit-learn's copy.

    python3 -m venv /tmp/digits && . /tmp/digits/bin/activate
    pip install numpy==1.26.4 scikit-learn==1.9.1
    python3 make_digits.py [FOLDER]

digits.npy is float32 [1797, 64], raw pixel values from 0 to 16, row by row; digits.txt holds the digit in each
image, one per line."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    digits = load_digits()
    images = digits.data.astype(np.float32)
    assert images.shape == (1797, 64) and images.min() == 0 and images.max() == 16
    np.save(folder / "digits.npy", images)
    (folder / "digits.txt").write_text("".join(f"{digit}\n" for digit in digits.target))


if __name__ == "__main__":
    main()
