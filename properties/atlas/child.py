"""Asks one engine, in a process of its own: `python -m properties.atlas.child OUT [ENGINE QUESTION...]`.

Answers are lines of JSON in the file OUT, results as their bytes, since an engine may have the processor flush
subnormals; without an engine, the releases of those that are installed.
"""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from properties.atlas import frameworks, runtimes
from properties.atlas.frameworks import LackingError
from properties.atlas.questions import LACKING, NOTHING, QUESTIONS, REFUSED, VARIES, Plain

OURS = "poolproof"
CALLS = 3  # of each question: what is read from memory that nobody wrote differs from call to call
ENGINES: dict[str, tuple[type, tuple[str, ...]]] = {  # its class; the packages it needs, the first with its release
    "im2col": (frameworks.Im2col, (OURS,)),
    "torch": (frameworks.Torch, ("torch",)),
    "jax": (frameworks.Jax, ("jax",)),
    "tensorflow": (frameworks.TensorFlow, ("tensorflow",)),
    "keras on tensorflow": (frameworks.KerasTensorFlow, ("keras", "tensorflow")),
    "keras on torch": (frameworks.KerasTorch, ("keras", "torch")),
    "keras on jax": (frameworks.KerasJax, ("keras", "jax")),
    "paddle": (frameworks.Paddle, ("paddlepaddle",)),
    "mlx": (frameworks.Mlx, ("mlx",)),
    "tinygrad": (frameworks.TinyGrad, ("tinygrad",)),
    "onnxruntime": (runtimes.OnnxRuntime, ("onnxruntime", "onnx")),
    "onnx reference": (runtimes.OnnxReference, ("onnx",)),
    "openvino": (runtimes.OpenVino, ("openvino",)),
    "opencv": (runtimes.OpenCv, ("opencv-python-headless", "onnx")),
    "ncnn": (runtimes.Ncnn, ("ncnn",)),
    "scipy.signal": (frameworks.SciPy, ("scipy",)),
}
ALSO_NAMED = {"tensorflow": ("tensorflow-cpu",), "opencv-python-headless": ("opencv-python",)}


def installed() -> dict[str, str]:
    """The release of each engine that is installed here, with all that it needs."""
    found = {name: [_release(package) for package in packages] for name, (_, packages) in ENGINES.items()}
    return {name: releases[0] for name, releases in found.items() if all(releases)}


def _release(package: str) -> str:
    if package == OURS:  # which need not be installed
        content = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
        return str(content["project"]["version"])
    for name in (package, *ALSO_NAMED.get(package, ())):
        try:
            return metadata.version(name).partition("+")[0]  # a build such as 2.13.0+cpu is of release 2.13.0
        except metadata.PackageNotFoundError:
            continue
    return ""


def ask(engine: Any, question: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Ask one question: what the result is made of, or why there is none."""
    operation = getattr(engine, QUESTIONS[question].operation, None)
    if operation is None:
        return {"answer": LACKING, "got": ""}
    try:
        found, *again = (np.ascontiguousarray(operation(**arguments)).copy() for _ in range(CALLS))
    except LackingError as error:
        return {"answer": LACKING, "got": str(error)}
    except (ImportError, OSError):
        raise  # something is missing here, which is no answer of the engine's
    except Exception as error:
        return {"answer": REFUSED, "got": f"{type(error).__name__}: {error}"}
    if found.dtype.kind not in "fiu":
        return {"answer": NOTHING, "got": str(found)}
    if any(other.tobytes() != found.tobytes() for other in again):
        return {"answer": VARIES, "got": ""}
    return {"shape": found.shape, "dtype": found.dtype.str, "data": found.tobytes().hex()}


def arrays(arguments: Any) -> dict[str, Any]:
    """The arguments of a question, its arrays as NumPy's."""
    return {
        name: np.array(value.values, np.float32).reshape(value.shape) if isinstance(value, Plain) else value
        for name, value in arguments.items()
    }


def main(arguments: list[str]) -> None:
    """Ask what is named, and write each answer as it comes: the process may end at any of them."""
    out, *asked = arguments
    with open(out, "a", encoding="utf-8") as file:
        if not asked:
            file.write(json.dumps(installed()) + "\n")
            return
        cases = {name: arrays(QUESTIONS[name].arguments) for name in asked[1:]}  # before the engine sets the processor
        engine = ENGINES[asked[0]][0]()
        file.write("{}\n")
        file.flush()
        for name, case in cases.items():
            file.write(json.dumps({"question": name, **ask(engine, name, case)}) + "\n")
            file.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
