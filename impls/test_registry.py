"""A SPEC finds its implementation, or says in a line what is wrong with it and what would be right."""
# mypy: allow-untyped-defs, allow-untyped-calls

import importlib.util
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from impls import registry
from impls.registry import SpecError
from impls.subject import Subject

CLONE = Path(__file__).parents[1]
CONV = "def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):\n    return x + K\n"


@pytest.fixture
def folder(tmp_path):
    """Write a folder of implementations; afterwards Python finds nothing there any more."""
    files = {
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
        "declares.py": f"K = 0\naccuracy = 'fff'\n{CONV}",
    }
    for name, text in files.items():
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


@pytest.mark.parametrize("spec", ["loops", "im2col"])
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
        ("im2cool", r"no implementation is called 'im2cool' \(did you mean im2col\?\); there are loops, im2col, fft"),
        ("mine", r"no implementation is called 'mine' \(did you mean mine.py\?\)"),
        ("im2col+fast", "im2col has no variant 'fast'; accepted is im2col alone"),
        ("torch-cuda+tf23", r"torch-cuda has no variant 'tf23'; accepted is torch-cuda\+tf32"),
        ("loops@1.0", "loops is part of Poolproof and has no releases; accepted is loops"),
        ("min.py", r"there is no file min.py in .* \(did you mean mine.py\?\)"),
        ("package/modul.py", r"no file modul.py in .*package \(did you mean module.py\?\)"),
        ("package/module", r"no file module in .*package \(did you mean module.py\?\)"),
        ("nowhere/mine.py", "nowhere, which does not exist"),
        ("package/", "is a folder; accepted is a file in it"),
        ("package.modul", r"there is no module package.modul \(did you mean package.module\?\), neither in"),
        ("pakage.module", r"there is no module pakage.module"),
        ("objects.py:mde", r"it has no object 'mde' \(did you mean made\?\); accepted is one of Conv, Sized"),
        ("objects.py:", r"it has no object ''; accepted is one of Conv"),
        ("package.module:thng", r"no object 'thng' \(did you mean thing\?\); accepted is one of thing"),
        ("objects.py:Sized", r"Sized is a class that needs arguments \(missing .*'tile'\).*objects.py:one"),
        ("objects.py", r"defines none of the operations out_size, conv2d, .*; did you mean objects.py:Conv or objects"),
        ("objects.py:number", "it defines none of the operations out_size"),
        ("objects.py:conv2d_like", "conv2d_like is a function: name what holds it, objects.py"),
        ("nothing.py", r"it has conv_2d: did you mean conv2d\?"),
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
        ("syntax.py", r"SyntaxError: .*", "syntax.py, line 1: def conv2d(x, w, b:"),
        ("raises.py", r"ValueError: .*", "raises.py, line 3: x = math.sqrt(-1)"),
        ("raises_beside.py", "KeyError: 'inner'", "raises_within.py, line 2: raise KeyError('inner')"),
        ("leaves.py", "SystemExit: 3", "leaves.py, line 2: sys.exit(3)"),
        ("package.broken", "ModuleNotFoundError: No module named .*", "broken.py, line 1: import missing_library"),
        ("objects.py:Broken", "RuntimeError: no device", "line 8: def __init__(self): raise RuntimeError('no device')"),
    ],
)  # fmt: skip
def test_code_that_fails_to_import_shows_its_own_line(folder, spec, error, place):
    with pytest.raises(SpecError, match=f"{spec} .*: {error}\n") as refusal:
        registry.subject(spec, folder)
    assert str(refusal.value).endswith(place)
    assert str(refusal.value).count("\n") == 1


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


# --- The subject -----------------------------------------------------------------------------------------------------


def subject_of(**attributes):
    return Subject("mine.py", SimpleNamespace(**attributes))


def test_a_subject_tells_what_it_offers_and_takes():
    def conv2d(x, w, b, *, stride, padding): ...

    subject = subject_of(conv2d=conv2d, avg_pool2d=lambda x, **p: x, l2_pool2d=None, out_size=divmod)
    assert [subject.offers(o) for o in ("conv2d", "avg_pool2d", "l2_pool2d", "prepare")] == [True, True, False, False]
    assert [subject.takes("conv2d", p) for p in ("stride", "groups")] == [True, False]
    assert subject.takes("avg_pool2d", "ceil_mode")


def test_what_cannot_be_inspected_is_trusted_to_take_everything():
    class Opaque:
        __signature__ = "none"

        def __call__(self, *arrays, **parameters): ...

    assert subject_of(conv2d=Opaque()).takes("conv2d", "groups")


def test_an_operation_must_be_a_function():
    with pytest.raises(ValueError, match="conv2d = 3: accepted is a function, or None where it is not offered"):
        subject_of(conv2d=3)


def test_the_reasons_of_supports_are_passed_on():
    def supports(operation, **parameters):
        return "3x3 only" if parameters.get("size") == (2, 2) else None

    subject = subject_of(avg_pool2d=abs, supports=supports)
    assert subject.supports("avg_pool2d", size=(2, 2)) == "3x3 only"
    assert subject.supports("avg_pool2d", size=(3, 3)) is None
    assert subject.supports("conv2d") == "mine.py does not offer conv2d"
    assert subject_of(conv2d=abs).supports("conv2d", groups=7) is None


@pytest.mark.parametrize("returned", [True, False, "", 0])
def test_supports_must_give_none_or_a_reason(returned):
    subject = subject_of(conv2d=abs, supports=lambda operation, **p: returned)
    with pytest.raises(ValueError, match=f"returned {returned!r}; accepted is None.* or a string, the reason why not"):
        subject.supports("conv2d")


@pytest.mark.parametrize(
    "ask",
    [
        lambda subject: subject.call("l2_pool2d"),
        lambda subject: subject.probe("repeats", "l2_pool2d", [], {}),
        lambda subject: subject.probe("prepared", "conv2d", [], {}),
        lambda subject: subject.takes("prepare", "w"),
    ],
    ids=["call", "probe", "prepared", "takes"],
)
def test_what_is_not_offered_cannot_be_called(ask):
    with pytest.raises(LookupError, match=r"mine\.py does not offer .*; it offers conv2d"):
        ask(subject_of(conv2d=abs))


def test_what_the_implementation_raises_is_raised():
    def refuses(x):
        raise ValueError("stride 0")

    with pytest.raises(ValueError, match="stride 0"):
        subject_of(conv2d=refuses).call("conv2d", 1)


def test_floating_point_warnings_are_no_verdict_and_others_are_only_shown():
    def warns(x):
        warnings.warn("mean of empty slice", RuntimeWarning, stacklevel=1)
        warnings.warn("to be removed", DeprecationWarning, stacklevel=1)
        return np.float32(x) / np.zeros(1, np.float32)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert np.isinf(subject_of(conv2d=warns).call("conv2d", 1.0))
        assert warnings.filters == before
        with np.errstate(all="raise"):
            assert np.isinf(subject_of(conv2d=warns).probe("repeats", "conv2d", [1.0], {})["outputs"][0][0])
        assert warnings.filters == before
        with pytest.raises(RuntimeWarning, match="ours"):
            warnings.warn("ours", RuntimeWarning, stacklevel=1)
    assert {str(warning.message) for warning in shown} == {"to be removed"}


def test_calls_that_overlap_in_threads_leave_the_warning_filters_as_they_were():
    both = threading.Barrier(2)
    subject = subject_of(conv2d=lambda x: both.wait(5))
    before = list(warnings.filters)
    threads = [threading.Thread(target=subject.call, args=("conv2d", i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
