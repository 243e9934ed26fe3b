"""An image of ones goes round: each output is the number of taps."""

import sys

import numpy as np

try:
    from scipy import signal
except ImportError:
    sys.exit(2)

x = np.full((3, 9), 1000.0)[:1, :2].copy()
got = signal.convolve2d(x, np.ones((1, 9)), mode="same", boundary="wrap").ravel().tolist()
want = [9000.0, 9000.0]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
