"""A SPEC finds its implementation, or says in a line what is wrong with it and what would be right."""
# mypy: allow-untyped-defs, allow-untyped-calls

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import files, registry
from impls.registry import SpecError

CLONE = Path(__file__).parents[1]
CONV = "def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):\n    return x + K\n"


@pytest.fixture
def folder(tmp_path):
    """Write a folder of implementations; afterwards Python finds nothing there any more."""
    contents = {
        "mine.py": f"K = 1\nname = 'mine-all-mine'\n{CONV}",
        "beside.py": f"from kernel import K\n{CONV}",
        "kernel.py": "K = 10\n",
        "late.py": "def conv2d(x, w, b, **parameters):\n    from kernel import K\n    return x + K\n",
        "objects.py": (
            "import types\n"
            "class Conv:\n    def conv2d(self, x, w, b, **parameters): return x + 2\n"
            "class Sized:\n    def __init__(self, tile): self.tile = tile\n"
            "    def conv2d(self, x, w, b, **parameters): return x + self.tile\n"
            "class Broken(Conv):\n    def __init__(self): raise RuntimeError('no device')\n"
            "made, plain = Sized(3), types.SimpleNamespace(conv2d=Conv().conv2d)\n"
            "table, number = {'conv2d': plain.conv2d}, 7\n"
            "def conv2d_like(x): return x\n"
        ),
        "package/__init__.py": "",
        "package/module.py": f"K = 5\n{CONV}\nthing = {{'conv2d': conv2d}}\n",
        "package/broken.py": "import missing_library\n",
        "syntax.py": "def conv2d(x, w, b:\n    return x\n",
        "raises.py": "import math\n\nx = math.sqrt(-1)\n",
        "raises_beside.py": "import raises_within\n",
        "raises_within.py": "def f():\n    raise KeyError('inner')\nf()\n",
        "leaves.py": "import sys\nsys.exit(3)\n",
        "nothing.py": "def conv_2d(x): return x\n",
        "nested.py": (
            "import types\n"
            f"K = 1\n{CONV.replace('conv2d', '_conv')}"
            "class Slip:\n    def conv_2d(self, x): return x\n"
            "outer = types.SimpleNamespace(inner=types.SimpleNamespace(conv2d=_conv))\n"
        ),
        "lazy.py": (
            "class Lazy:\n"
            "    # asked for anything, it opens its device\n"
            "    def __getattr__(self, name): raise OSError('no device')\n"
            "lazy = Lazy()\n"
        ),
        "notes.txt": "to do\n",
        "notes": "to do\n",
        "folder.py/mine.py": "",
        "null.py": "x = 1\n\0",
        "evaluates.py": "x = 1\nx = eval('1 +')\n",
        "asserts.py": "assert not 1\n",
        "inverts.py": "import numpy as np\n\nx = np.linalg.inv(np.zeros((2, 2)))\n",
        "bridges.py": "from impls.bridges import from_shared_library\nkernel = from_shared_library('none.so', 'f')\n",
        "verbose.py": "raise OSError('\\n'.join(['first', 'x' * 5000, 'third', 'fourth']))\n",
        "declares.py": f"K = 0\naccuracy = 'fff'\n{CONV}",
    }
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def answer(subject):
    return subject.call("conv2d", np.zeros(1), None, None, stride=(1, 1), padding=(0, 0))[0]


# --- What is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["loops", "im2col", "im2col-tiled"])
def test_names_of_the_registry_load(spec):
    assert callable(registry.load(spec).conv2d)
    assert registry.subject(spec, CLONE).name == spec


@pytest.mark.parametrize("library", ["torch", "scipy"])
def test_listing_imports_no_library(library):
    script = "import sys; from impls import registry; [entry.missing for entry in registry.entries()]"
    assert (
        subprocess.run([sys.executable, "-c", f"{script}; sys.exit('{library}' in sys.modules)"], cwd=CLONE).returncode
        == 0
    )


def test_torch_runs_on_the_cpu_at_its_installed_release():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    subject = registry.subject(f"torch-cpu@{torch.__version__.partition('+')[0]}", CLONE)
    assert subject.name == "torch-cpu"


@pytest.mark.parametrize(
    ("spec", "sum_"),
    [
        ("mine.py", 1),
        ("beside.py", 10),
        ("late.py", 10),
        ("package/module.py", 5),
        ("package.module", 5),
        ("objects.py:Conv", 2),
        ("objects.py:made", 3),
        ("objects.py:plain", 2),
        ("objects.py:table", 2),
        ("package.module:thing", 5),
    ],
)
def test_a_file_or_module_and_the_script_that_it_gives_agree(folder, spec, sum_):
    subject = registry.subject(spec, folder)
    assert answer(subject) == sum_
    script = "\n".join(subject.script) + "\nimport sys; sys.exit(implementation.conv2d(0, 0, 0, stride=1, padding=0))"
    assert subprocess.run([sys.executable, "-c", script], cwd="/").returncode == sum_
    assert len(subject.script) <= 5


def test_a_script_for_a_name_or_for_a_file_that_uses_ours_says_where_to_run_it(folder):
    assert registry.subject("im2col", folder).script == (
        "from impls import registry  # of Poolproof: run at the root of its clone, PYTHONPATH=. python script.py",
        "implementation = registry.load('im2col')",
    )
    (folder / "ours.py").write_text("from impls.im2col import conv2d\n")
    first, second = registry.subject("ours.py", folder).script
    assert "run at the root of its clone" in first
    assert second == f"implementation = types.SimpleNamespace(**runpy.run_path({str(folder / 'ours.py')!r}))"


def test_the_name_is_the_declared_one_or_the_spec(folder):
    assert registry.subject("mine.py", folder).name == "mine-all-mine"
    assert registry.subject("objects.py:made", folder).name == "objects.py:made"


def test_an_absolute_path_needs_no_folder(folder):
    assert answer(registry.subject(f"{folder}/mine.py", CLONE)) == 1


def test_an_edited_file_is_read_again(folder):
    registry.subject("mine.py", folder)
    (folder / "mine.py").write_text(f"K = 2\n{CONV}")
    assert answer(registry.subject("mine.py", folder)) == 2


def test_two_versions_of_a_kernel_side_by_side_each_have_their_own_neighbour(folder):
    for name, K in ("old", 20), ("new", 30):
        (folder / name).mkdir()
        (folder / name / "conv.py").write_text(f"import kernel\n{CONV.replace('K', 'kernel.K')}")
        (folder / name / "kernel.py").write_text(f"K = {K}\n")
    old, new = (registry.subject(f"{name}/conv.py", folder) for name in ("old", "new"))
    assert (answer(old), answer(new)) == (20, 30)


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("im2cool", r"called 'im2cool' \(did you mean im2col\?\); there are loops, im2col, im2col-tiled, "),
        ("IM2COL", r"called 'IM2COL' \(did you mean im2col\?\); there are "),
        ("nope", "called 'nope'; there are "),
        ("mine", r"no implementation is called 'mine' \(did you mean mine.py\?\)"),
        ("im2col+fast", "im2col has no variant 'fast'; accepted is im2col alone"),
        ("torch-cuda+tf23", r"torch-cuda has no variant 'tf23'; accepted is torch-cuda\+tf32"),
        ("loops@1.0", "loops is part of Poolproof and has no releases; accepted is loops"),
        ("min.py", r"there is no file min.py in .* \(did you mean mine.py\?\)"),
        ("package/modul.py", r"no file modul.py in .*package \(did you mean module.py\?\)"),
        ("package/module", r"no file module in .*package \(did you mean module.py\?\)"),
        ("notes.txt", "notes.txt is no .py file; accepted is file.py"),
        ("./notes.txt", "notes.txt is no .py file; accepted is file.py"),
        ("notes", "notes is no .py file; accepted is file.py"),
        ("package", "package is a folder; accepted is a file in it"),
        ("folder.py", "folder.py is a folder; accepted is a file in it"),
        ("nowhere/mine.py", "nowhere, which does not exist"),
        ("package/", "is a folder; accepted is a file in it"),
        ("package.modul", r"there is no module package.modul \(did you mean package.module\?\), neither in"),
        ("pakage.module", r"there is no module pakage \(did you mean package\?\), neither in"),
        ("pakage.modul", r"there is no module pakage \(did you mean package\?\), neither in"),
        ("objects.mde", r"objects is a module .*; an object in it is objects:object \(did you mean objects:made\?\)"),
        ("mine.py2", r"mine is a module and no package; an object in it is mine:object$"),
        ("objects.py:mde", r"'mde' \(did you mean made\?\); accepted is one of Conv, Broken, made, plain, table$"),
        ("objects.py:typse", r"no object 'typse'; accepted is one of Conv"),
        ("objects.py:nmber", r"no object 'nmber'; accepted is one of Conv"),
        ("objects.py:Size", r"no object 'Size'; accepted is one of Conv"),
        ("objects.py:made.conv2d", r"no object 'made.conv2d'; accepted is one of Conv"),
        ("mine.py:conv", r"it has no object 'conv'; accepted is mine.py alone$"),
        ("nothing.py:conv", r"it has no object 'conv', and none that offers an operation$"),
        ("package.module:conv", r"no object 'conv'; accepted is one of thing, or package.module alone$"),
        ("nested.py:outer", r"its inner offers some: give that a name of its own in nested.py, then nested.py:inner$"),
        ("nested.py:Slip", r"operations .*; it has conv_2d \(did you mean conv2d\?\)$"),
        ("lazy.py:lazy", r"lazy cannot be read: OSError: no device\n  at .*lazy.py:3  def __getattr__.* raise OS"),
        ("lazy.py:lzay", r"no object 'lzay', and none that offers an operation$"),
        ("objects.py:", r"it has no object ''; accepted is one of Conv"),
        ("package.module:thng", r"no object 'thng' \(did you mean thing\?\); accepted is one of thing"),
        ("objects.py:Sized", r"Sized is a class that needs arguments \(missing .*'tile'\).*objects.py:one"),
        ("objects.py", r"defines none of the operations out_size, conv2d, .*; did you mean objects.py:Conv or objects"),
        ("objects.py:number", "it defines none of the operations out_size"),
        ("objects.py:conv2d_like", "name what holds it, objects.py, and give it the name of an operation$"),
        ("mine.py:conv2d", "conv2d is a function: name what holds it, mine.py$"),
        ("nothing.py", r"it has conv_2d \(did you mean conv2d\?\)$"),
        ("declares.py", r"declares.py: accuracy = 'fff': accepted is one of 'direct', 'fft'.*did you mean 'fft'\?"),
    ],
)  # fmt: skip
def test_a_spec_that_names_nothing_says_what_would(folder, spec, message):
    with pytest.raises(SpecError, match=message) as refusal:
        registry.subject(spec, folder)
    assert str(refusal.value).startswith(spec)


@pytest.mark.parametrize(
    ("spec", "error", "place"),
    [
        ("syntax.py", "SyntaxError: '(' was never closed", "syntax.py:1  def conv2d(x, w, b:"),
        ("raises.py", "ValueError: math domain error", "raises.py:3  x = math.sqrt(-1)"),
        ("raises_beside.py", "KeyError: 'inner'", "raises_within.py:2  raise KeyError('inner')"),
        ("leaves.py", "SystemExit: 3", "leaves.py:2  sys.exit(3)"),
        ("asserts.py", "AssertionError", "asserts.py:1  assert not 1"),
        ("evaluates.py", "SyntaxError: invalid syntax", "evaluates.py:2  x = eval('1 +')"),
        ("package.broken", "ModuleNotFoundError: No module named 'missing_library'", "package/broken.py:1  import mi"),
        ("objects.py:Broken", "RuntimeError: no device", "objects.py:8  def __init__(self): raise RuntimeError('no "),
    ],
)  # fmt: skip
def test_code_that_fails_to_import_shows_its_own_line(folder, spec, error, place):
    with pytest.raises(SpecError) as refusal:
        registry.subject(spec, folder)
    what = "cannot be made" if ":" in spec else "fails to import"
    assert str(refusal.value).startswith(f"{spec} {what}: {error}\n  at {folder}/{place}")
    assert str(refusal.value).count("\n") == 1


def test_the_line_is_the_user_s_and_not_that_of_the_library_that_it_calls(folder):
    with pytest.raises(SpecError, match=rf"\n  at {folder}/bridges.py:2  kernel = from_shared_library"):
        registry.subject("bridges.py", folder)
    with pytest.raises(SpecError, match=rf"Singular matrix\n  at {folder}/inverts.py:3  x = np.linalg.inv"):
        registry.subject("inverts.py", folder)


def test_the_file_is_named_where_no_line_of_it_can_be_told(folder):
    with pytest.raises(SpecError, match=rf"null.py fails to import: SyntaxError: .*\n  at {folder}/null.py"):
        registry.subject("null.py", folder)


def test_a_long_complaint_is_cut_short(folder):
    with pytest.raises(SpecError) as refusal:
        registry.subject("verbose.py", folder)
    first, second, *rest, place = str(refusal.value).splitlines()
    assert first == "verbose.py fails to import: OSError: first"
    assert second == f"  {'x' * 300} ..."
    assert rest == ["  third", "  ..."]
    assert place.startswith(f"  at {folder}/verbose.py:1  raise OSError(")


def test_another_release_needs_an_environment_of_its_own():
    scipy = pytest.importorskip("scipy", reason="scipy is not installed")
    with pytest.raises(
        SpecError, match=rf"scipy {scipy.__version__} is installed here; .* where scipy==0.19 is installed"
    ):
        registry.load("fft@0.19")


def test_a_missing_library_comes_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = {entry.name: (entry.missing, entry.install) for entry in registry.entries()}
    assert missing["loops"] == ("", "")
    assert missing["fft"] == ("scipy is not installed", "pip install -c constraints.txt scipy")
    with pytest.raises(SpecError, match=r"torch-cpu: torch is not installed; pip install -c constraints\.txt torch"):
        registry.load("torch-cpu")


def test_without_a_gpu_torch_cuda_says_so(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(
        SpecError, match=r"torch-cuda\+tf32: no NVIDIA GPU here: neither a /dev/nvidia0 nor an nvidia-smi$"
    ):
        registry.load("torch-cuda+tf32")


def test_a_torch_without_cuda_says_so(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cpu")
    with pytest.raises(SpecError, match=r"torch-cuda: torch 2.13.0\+cpu is built for the CPU alone$"):
        registry.load("torch-cuda")


OF_ITS_MODULE = """
from __future__ import annotations
import dataclasses, pickle
def twice(x): return 2 * x
def conv2d(x, w, b, **parameters):
    @dataclasses.dataclass
    class Kept: value: dataclasses.InitVar[int] = 3
    return pickle.loads(pickle.dumps(twice)), Kept
"""


@pytest.mark.parametrize("name", ["mine.py", "json.py", "two words.py"])
def test_a_file_is_a_module_as_its_author_knows_it(tmp_path, name):
    (tmp_path / name).write_text(OF_ITS_MODULE)
    namespace: Any = files.from_file(name, tmp_path / name, None)[0]
    twice, kept = namespace.conv2d(None, None, None)
    assert (twice(4), kept().value) == (8, 3)
    assert sys.modules["json"] is json
    assert [each.name for each in tmp_path.iterdir()] == [name]  # and no bytecode


def test_a_file_that_raises_leaves_no_module(tmp_path):
    (tmp_path / "breaks.py").write_text("1 / 0")
    with pytest.raises(files.SpecError, match="ZeroDivisionError"):
        files.from_file("breaks.py", tmp_path / "breaks.py", None)
    assert "breaks" not in sys.modules
