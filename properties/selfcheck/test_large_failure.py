"""The script of a failure that is too large to be printed shows the element that the message tells of."""

from __future__ import annotations

import re

from properties import test_sizes as sizes
from properties.selfcheck.command_line import QUICK, run


def test_the_script_of_a_large_failure_shows_the_element_that_is_told(tmp_path):
    (tmp_path / "tail.py").write_text(
        "from impls import im2col\n"
        "def conv2d(x, w, b, **p):\n"
        "    y = im2col.conv2d(x, w, b, **p)\n"
        "    y[..., y.shape[3] // 8 * 8 :] += 2 * (y.shape[3] > 60)\n"
        "    return y\n"
    )
    law = f"{sizes.__file__}::test_large_outputs_equal_the_definition"
    case = "conv2d float32 n9c1k1g1 i8k1s1p0,0d1 i63k1s1p0,0d1 wide:24 seed=1"  # the samples have every corner
    done = run(tmp_path, law, "--impl=tail.py", f"--case={case}", *QUICK)
    told = re.search(r"the worst is y\[([\d, ]+)\]", done.stdout)
    shown = re.search(r"print\(y\[([\d, ]+)\], 'should be', (\S+)\)", done.stdout)
    want = re.search(r"^  want   (\S+)$", done.stdout, re.MULTILINE)
    assert told is not None, done.stdout
    assert shown is not None, done.stdout
    assert want is not None, done.stdout
    assert told[1] == shown[1]
    assert float(want[1]) == float(shown[2])
    assert done.stdout.count("# of Poolproof: run at") == 1
