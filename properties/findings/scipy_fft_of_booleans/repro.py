"""A convolution of booleans: a cell is True where two True cells meet."""

import sys

import numpy as np

try:
    from scipy import signal
except ImportError:
    sys.exit(2)

wrong = cells = 0
for seed in range(20):
    random = np.random.RandomState(seed)
    x, w = random.rand(3, 7) < 0.5, random.rand(2, 4) < 0.5
    want = np.zeros((4, 10), bool)
    for i, j in np.argwhere(w):
        want[i : i + 3, j : j + 7] |= x
    got = signal.convolve(x, w, method="fft")
    wrong, cells = wrong + int((got != want).sum()), cells + got.size
print("got ", f"{wrong} of {cells} cells otherwise")
print("want none")
sys.exit(int(wrong > 0))
