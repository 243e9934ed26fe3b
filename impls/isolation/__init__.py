"""An implementation in a process of its own: where it crashes, hangs or writes past its arrays, the suite goes on.

This protects from faults, not from hostile code. `guardian`, `framing`, `memory`, `wire` and `child` run in the
child, and need Python 3.9 and NumPy 1.21; the others are the parent's.
"""
