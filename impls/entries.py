"""What comes with Poolproof: each implementation's name, what it needs, and how it is loaded. Python 3.9."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """An implementation that comes with Poolproof. Its library, where it needs one, is looked for and not imported."""

    name: str
    summary: str
    load: Callable[[Sequence[str]], object] = field(repr=False)  # its variants -> the namespace
    library: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)  # each with a summary of its own
    gpu: bool = False
    foreign: bool = False  # an engine, which may crash: it is given a process of its own
    package: str = ""  # what is installed, where that is not called as what is imported
    beside: tuple[str, ...] = ()  # what else its adapter imports
    program: str = ""  # that it calls

    @property
    def names(self) -> dict[str, str]:
        """What it can be asked for by, its variants one by one among them, each with a summary."""
        return {self.name: self.summary, **{f"{self.name}+{name}": told for name, told in self.variants.items()}}

    @property
    def install(self) -> str:
        """The command that would make it available, or "" where none would, or none is needed."""
        wanted = {self.library: self.distribution, **{name: name for name in self.beside}}
        absent = [package for name, package in wanted.items() if name and importlib.util.find_spec(name) is None]
        return f"pip install -c constraints.txt {' '.join(absent)}" if absent else ""

    @property
    def missing(self) -> str:
        """The reason why it cannot run here, or "" where it can."""
        if self.install:
            return f"{self.install.rpartition(' ')[2]} is not installed"
        if self.without_gpu:
            return self.without_gpu
        if self.program and shutil.which(self.program) is None:
            return f"there is no {self.program} on the path"
        if self.gpu and self.version.endswith("+cpu"):
            return f"{self.library} {self.version} is built for the CPU alone"
        return ""

    @property
    def without_gpu(self) -> str:
        """The reason why it cannot run on any release here, or "" where it needs no GPU or one may be there."""
        if self.gpu and not (any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi")):
            return "no NVIDIA GPU here: neither a /dev/nvidia0 nor an nvidia-smi"
        return ""

    @property
    def version(self) -> str:
        """The installed release of its library, or "" where it has none."""
        if not self.library:
            return ""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:  # it comes in another package, as OpenCV does in four
            return importlib.metadata.version(importlib.metadata.packages_distributions()[self.library][0])

    @property
    def distribution(self) -> str:
        """The name by which its library is installed."""
        return self.package or self.library


def _module(name: str) -> Callable[[Sequence[str]], object]:
    return lambda variants: importlib.import_module(f"impls.{name}")


def _torch(device: str) -> Callable[[Sequence[str]], object]:
    def load(variants: Sequence[str]) -> object:
        namespace: object
        if set(variants) <= {"tf32"}:
            adapter = importlib.import_module("impls.engines.torch")
            namespace = adapter.TorchAdapter(device=device, tf32="tf32" in variants)
            return namespace
        adapter = importlib.import_module("impls.engines.torch_as_used")
        made = adapter.TorchFunctional if {*_FUNCTIONAL} & {*variants} else adapter.TorchAsUsed
        namespace = made(device, variants)
        return namespace

    return load


def _engine(module: str, made: str, *first: str) -> Callable[[Sequence[str]], object]:
    """Load an adapter: its class is given the variants that are asked for."""

    def load(variants: Sequence[str]) -> object:
        adapter = importlib.import_module(f"impls.engines.{module}")
        namespace: object = getattr(adapter, made)(*first, variants)
        return namespace

    return load


_NARROW = {
    "float16": "the same in float16",
    "bfloat16": "the same in bfloat16",
}
_FUNCTIONAL = {
    "autograd": "torch.nn.functional, its gradients by autograd",
    "compile": "the same, compiled by torch.compile",
    "lp_pool2d": "the same, with lp_pool2d for L2 pooling",
}
_TORCH = {
    "channels-last": "the same on tensors in channels-last order",
    **_NARROW,
    **_FUNCTIONAL,
}
_TF32 = {"tf32": "the same, where float32 operands may be rounded to TF32"}
_THREADS = {"threads": "the same on four threads"}
_SAME = {"same-padding": "the same, also asked for padding by SAME_UPPER and SAME_LOWER"}
_NO_INDICES = {"no-indices": "the same, where max pooling is not asked for its switches"}
_OURS = (
    Entry("loops", "one output at a time, as lecture notes write it", _module("loops")),
    Entry("im2col", "windows stretched out into columns, then one matrix product", _module("im2col")),
    Entry("im2col-tiled", "the same, a few rows at a time in a buffer that stays in cache", _module("im2col_tiled")),
    Entry(
        "winograd", "3x3 filters with a quarter of the multiplications, others folded into them", _module("winograd")
    ),
    Entry("fft", "a product of spectra, tile by tile where that pays", _module("fft"), "scipy"),
    Entry(
        "separable", "pools alone: down the columns, then across the rows, a chunk in cache at a time", _module("pools")
    ),
    Entry(
        "auto", "the fastest of these for each layer, by what its sizes are predicted to cost", _module("auto"), "scipy"
    ),
)
_ENGINES = (
    Entry(
        "torch-cpu",
        "PyTorch's operations on the CPU",
        _torch("cpu"),
        "torch",
        {**_TORCH, "no-onednn": "the same without oneDNN, and without the transforms of NNPACK in its place"},
    ),
    Entry(
        "torch-cuda", "PyTorch's operations on an NVIDIA GPU", _torch("cuda"), "torch", {**_TF32, **_TORCH}, gpu=True
    ),
    Entry(
        "onnxruntime",
        "ONNX Runtime's operators on the CPU",
        _engine("onnxruntime", "OnnxRuntime"),
        "onnxruntime",
        {
            **_NO_INDICES,
            **_SAME,
            "constant-filters": "the same, with filters stored in the model, as networks are deployed",
            **_THREADS,
            "unoptimized": "the same without optimization of the graph",
            "float64": "max pooling, in the wider format that it takes as well",
        },
        beside=("onnx",),
    ),
    Entry(
        "onnx-reference",
        "the reference evaluator of the onnx package",
        _engine("onnx", "OnnxReference"),
        "onnx",
        {**_NO_INDICES, **_SAME},
    ),
    Entry(
        "jax",
        "JAX' convolutions and windows on the CPU",
        _engine("jax", "Jax"),
        "jax",
        {"nhwc": "the same, channels last", "eager": "the same without jax.jit", **_NARROW},
        beside=("jaxlib",),
    ),
    Entry(
        "openvino",
        "OpenVINO's operators on the CPU",
        _engine("openvino", "OpenVino"),
        "openvino",
        {"dynamic": "the same, for images of any shape", **_THREADS, "bfloat16": "the same in bfloat16"},
    ),
    Entry(
        "opencv",
        "OpenCV's dnn module on the CPU",
        _engine("opencv", "OpenCv"),
        "cv2",
        {**_NO_INDICES, **_THREADS, "no-winograd": "the same without Winograd's convolution"},
        package="opencv-python-headless",
        beside=("onnx",),
    ),
    Entry(
        "scipy-signal",
        "sums of scipy.signal's correlate2d and convolve2d",
        _engine("scipy", "SciPy"),
        "scipy",
        {"fft": "the same by fftconvolve", "oaconvolve": "the same by oaconvolve"},
    ),
    Entry(
        "tensorflow",
        "TensorFlow's tf.nn on the CPU",
        _engine("tensorflow", "TensorFlow"),
        "tensorflow",
        {"argmax": "the same, max pooling with its switches", "graph": "the same, under tf.function", **_NARROW},
        package="tensorflow-cpu",
    ),
    Entry(
        "tinygrad",
        "tinygrad's kernels, compiled by clang",
        _engine("tinygrad", "TinyGrad", "CPU"),
        "tinygrad",
        program="clang",
    ),
    Entry(
        "tinygrad-python",
        "tinygrad's kernels in its interpreter",
        _engine("tinygrad", "TinyGrad", "PYTHON"),
        "tinygrad",
    ),
    Entry(
        "keras-torch",
        "Keras' operations over torch",
        _engine("keras", "Keras", "torch"),
        "keras",
        {"channels-last": "the same, channels last"},
        beside=("torch",),
    ),
    Entry(
        "keras-jax",
        "Keras' operations over JAX",
        _engine("keras", "Keras", "jax"),
        "keras",
        {"channels-last": "the same, channels last"},
        beside=("jax",),
    ),
    Entry("mlx", "MLX' layers on the CPU", _engine("mlx", "Mlx"), "mlx", package="mlx-cpu", beside=()),
    Entry(
        "paddle", "PaddlePaddle on the CPU", _engine("paddle", "Paddle"), "paddle", _NO_INDICES, package="paddlepaddle"
    ),
    Entry(
        "ncnn",
        "ncnn's layers on the CPU",
        _engine("ncnn", "Ncnn"),
        "ncnn",
        {
            **_THREADS,
            "no-winograd": "the same without Winograd's convolution",
            "unpacked": "the same, channels unpacked",
        },
    ),
)
ENTRIES = (*_OURS, *(replace(entry, foreign=True) for entry in _ENGINES))
