"""PyTorch as its users run it: other layouts and formats, without oneDNN, by autograd, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from impls.arguments import Array, Pair
from impls.engines.torch import TorchAdapter, on_device

if TYPE_CHECKING:
    import torch


class TorchAsUsed(TorchAdapter):
    """The adapter's own operators on tensors of another layout or format; none of its detours around faults."""

    def __init__(self, device: str, variants: Sequence[str]) -> None:
        super().__init__(device, "tf32" in variants)
        self.name = "+".join([f"torch-{device}", *variants])
        self.channels_last, self.onednn = "channels-last" in variants, "no-onednn" not in variants
        self.stored: torch.dtype | None = None
        self.dtypes: tuple[str, ...] = ("float32", "float64")
        self.storage = ""
        self.accumulator, self.subnormals = "float32", True
        # Gradients on the CPU are added up in the narrow format itself, and oneDNN flushes bfloat16's subnormals.
        if "float16" in variants:
            self.dtypes, self.accumulator = ("float16",), "float16"
        if "bfloat16" in variants:
            self.dtypes, self.storage, self.stored = ("float32",), "bfloat16", self.torch.bfloat16
            self.accumulator, self.subnormals = "bfloat16", False

    def tensor(self, array: Array) -> torch.Tensor:
        """Bring an array to the device, in the layout and format that are asked for."""
        tensor = super().tensor(array)
        if self.stored is not None and tensor.is_floating_point():
            tensor = tensor.to(self.stored)
        if self.channels_last and tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=self.torch.channels_last)
        return tensor

    def array(self, tensor: torch.Tensor) -> Array:
        """Bring a result back, in the format that its arguments had."""
        tensor = tensor.detach()
        return super().array(tensor.float() if tensor.dtype == self.torch.bfloat16 else tensor)

    @contextmanager
    def without_onednn(self, leave_out: bool) -> Iterator[None]:
        """Take oneDNN as it is: the detour is the plain adapter's."""
        yield

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Leave oneDNN out where that is asked for, and NNPACK, whose transforms round, which would take its place."""
        backends = self.torch.backends
        with super().settings(), backends.mkldnn.flags(self.onednn), backends.nnpack.flags(self.onednn):
            yield


class TorchFunctional(TorchAsUsed):
    """torch.nn.functional, its gradients by autograd, and all of it compiled where that is asked for."""

    def __init__(self, device: str, variants: Sequence[str]) -> None:
        super().__init__(device, variants)
        self.lp = "lp_pool2d" in variants
        functional = self.torch.nn.functional
        made: Callable[[Any], Any] = lambda function: function  # noqa: E731
        if "compile" in variants:
            made = lambda function: self.torch.compile(function, dynamic=True)  # noqa: E731
        self.convolved, self.averaged = made(functional.conv2d), made(functional.avg_pool2d)
        self.maximal, self.normed = made(functional.max_pool2d), made(self._norm)

    def supports(self, operation: str, **parameters: Any) -> str | None:
        """Return the reason why torch declines an operation with these parameters, or None."""
        if operation == "max_pool2d_backward":
            return "autograd's gradient of max pooling starts from the image, which switches do not tell"
        if self.lp and operation.startswith("l2") and any(parameters["padding"]):
            return "lp_pool2d takes no padding"
        return super().supports(operation, **parameters)

    @on_device
    def conv2d(self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1),
               groups: int = 1) -> Array:  # fmt: skip
        """Call conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        bias = None if b is None else self.tensor(b)
        return self.array(self.convolved(self.tensor(x), self.tensor(w), bias, stride, padding, dilation, groups))

    @on_device
    def conv2d_backward(self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1),
                        groups: int = 1) -> tuple[Array, Array, Array]:  # fmt: skip
        """Pull dy (N, K, OH, OW) back to dx, dw, db, of the shapes of x, w and (K,)."""
        inputs = [self.watched(array) for array in (x, w, np.zeros(w.shape[0], w.dtype))]
        dx, dw, db = self.pulled(self.convolved(*inputs, stride, padding, dilation, groups), inputs, dy)
        return dx, dw, db

    @on_device
    def max_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
                   ceil_mode: bool = False) -> tuple[Array, Array]:  # fmt: skip
        """Call max_pool2d with return_indices: x (N, C, H, W) -> y, switches (N, C, OH, OW)."""
        asked = (size, stride, padding, dilation, ceil_mode)
        y, switches = self.maximal(self.tensor(x), *asked, return_indices=True)
        return self.array(y), self.array(switches)

    @on_device
    def avg_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0),
                   count_include_pad: bool = True, ceil_mode: bool = False) -> Array:  # fmt: skip
        """Call avg_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self.array(self.averaged(self.tensor(x), size, stride, padding, ceil_mode, count_include_pad))

    @on_device
    def avg_pool2d_backward(self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair,
                            padding: Pair = (0, 0), count_include_pad: bool = True,
                            ceil_mode: bool = False) -> Array:  # fmt: skip
        """Pull dy (N, C, OH, OW) back to dx of shape x_shape."""
        image = self.watched(np.zeros(tuple(x_shape), dy.dtype))
        y = self.averaged(image, size, stride, padding, ceil_mode, count_include_pad)
        return self.pulled(y, [image], dy)[0]

    @on_device
    def l2_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0),
                  ceil_mode: bool = False) -> Array:  # fmt: skip
        """Take the root of an average of squares, or lp_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self.array(self.normed(self.tensor(x), size, stride, padding, ceil_mode))

    @on_device
    def l2_pool2d_backward(self, x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0),
                           ceil_mode: bool = False) -> Array:  # fmt: skip
        """Pull dy (N, C, OH, OW) back to dx of the shape of x."""
        image = self.watched(x)
        return self.pulled(self.normed(image, size, stride, padding, ceil_mode), [image], dy)[0]

    def _norm(self, image: torch.Tensor, size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> torch.Tensor:
        functional = self.torch.nn.functional
        if self.lp:
            if any(padding):
                raise ValueError(f"padding {padding}: lp_pool2d takes none")
            return functional.lp_pool2d(image, 2.0, tuple(size), tuple(stride), ceil_mode)
        sums = functional.avg_pool2d(image * image, size, stride, padding, ceil_mode, True, 1)
        # The root's gradient at 0 is infinite; a root that is not taken there is how users of torch avoid it.
        return self.torch.where(sums == 0, 0, self.torch.where(sums == 0, 1, sums).sqrt())

    def watched(self, array: Array) -> torch.Tensor:
        """Bring an array to the device, for autograd to follow."""
        return self.tensor(array).requires_grad_()

    def pulled(self, y: torch.Tensor, inputs: list[torch.Tensor], dy: Array) -> tuple[Array, ...]:
        """Pull dy back through what made y."""
        return tuple(map(self.array, self.torch.autograd.grad(y, inputs, self.tensor(dy))))
