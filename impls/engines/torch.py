"""PyTorch's own convolution and pooling behind the contract, on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from impls.arguments import Array, Pair
from impls.engines.calls import OVERHANGING, overhangs

if TYPE_CHECKING:
    import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Adapter = TypeVar("Adapter", bound="TorchAdapter")

# torch's switches for TF32 and determinism are the whole process's: on a GPU one call at a time may set them.
GPU = Lock()


def on_device(
    operation: Callable[Concatenate[Adapter, Arguments], Result],
) -> Callable[Concatenate[Adapter, Arguments], Result]:
    """Run an operation under the adapter's settings, and turn torch's refusals into the contract's ValueError."""

    @wraps(operation)
    def call(self: Adapter, /, *args: Arguments.args, **parameters: Arguments.kwargs) -> Result:
        try:
            with self.settings():
                return operation(self, *args, **parameters)
        except (self.torch.OutOfMemoryError, NotImplementedError):
            raise
        except (RuntimeError, TypeError) as refusal:
            raise ValueError(f"torch: {refusal}") from refusal

    return call


class TorchAdapter:
    """A namespace of the contract whose functions are torch's; `device` is "cpu" or "cuda".

    With `tf32`, float32 operands may be rounded to TF32 on a GPU. Refusing is left to torch, and nothing that it lacks
    is put in its place: `supports` says what it declines. It has no function for `out_size`.
    """

    options = ("pool_dilation", "ceil_mode")

    def __init__(self, device: str = "cpu", tf32: bool = False) -> None:
        import torch

        self.torch = torch
        self.device = device
        self.tf32 = tf32
        self.name = f"torch-{device}" + "+tf32" * tf32
        self.version = str(torch.__version__)
        self.accuracy = "tf32" if tf32 else "direct"

    def supports(self, operation: str, **parameters: Any) -> str | None:
        """Return the reason why torch declines an operation with these parameters, or None."""
        if operation == "max_pool2d_backward" and self.device != "cpu":
            return "torch's GPU gradient of max pooling asks for the windows' geometry, which switches do not tell"
        if "size" not in parameters:
            return None
        size, padding = parameters["size"], parameters.get("padding", (0, 0))
        # Padding that holds a whole window is not declined here: torch refuses it, as the contract asks.
        if any(F // 2 < around < F for F, around in zip(size, padding, strict=True)):
            return "torch pads a pool by half of its window at most"
        divides = operation.startswith("avg") and parameters.get("count_include_pad", True)
        rounds = divides and parameters.get("ceil_mode") and "x_shape" in parameters
        if rounds and overhangs(parameters["x_shape"], size, parameters["stride"], padding):
            return OVERHANGING
        return None

    @on_device
    def conv2d(
        self,
        x: Array,
        w: Array,
        b: Array | None,
        *,
        stride: Pair,
        padding: Pair,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:
        """Call torch.conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW).

        Its arrays come in C order. Channels-last ones end the process in torch 2.13 on the CPU, in groups with stride,
        dilation and windows wholly in the padding: x (1, 2, 1, 2) with strides (4, 1, 4, 2) elements, w (4, 1, 3, 1),
        stride 5, padding (4, 3), dilation (2, 6), 2 groups. The suite drew it; it looks like pytorch/pytorch#195394.
        """
        x, w = in_c_order(x), in_c_order(w)
        bias = None if b is None else self.tensor(b)
        return self.array(self.torch.conv2d(self.tensor(x), self.tensor(w), bias, stride, padding, dilation, groups))

    @on_device
    def conv2d_backward(
        self,
        x: Array,
        w: Array,
        dy: Array,
        *,
        stride: Pair,
        padding: Pair,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> tuple[Array, Array, Array]:
        """Call the operator that autograd calls: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,).

        It reads past the end of a dy of too few images, and takes a dilation of 0. The forward pass and autograd,
        which come before it in torch, refuse both; so does this.
        """
        if min(dilation) < 1:
            raise ValueError(f"dilation {dilation}: at least 1 is accepted")
        if min(stride) > 0:
            lines = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
            outputs = ((W + 2 * P - D * (F - 1) - 1) // S + 1 for W, F, S, P, D in lines)
            if dy.shape != (wanted := (x.shape[0], w.shape[0], *outputs)):
                raise ValueError(f"dy shape {dy.shape}: the output's shape {wanted} is accepted")
        x, w, dy = in_c_order(x), in_c_order(w), in_c_order(dy)  # as in the forward pass
        with self.without_onednn(dy.shape[3] == 1 and w.shape[3] > 1):
            dx, dw, db = self.torch.ops.aten.convolution_backward(
                self.tensor(dy),
                self.tensor(x),
                self.tensor(w),
                [w.shape[0]],
                stride,
                padding,
                dilation,
                False,  # not transposed, hence no output padding
                [0, 0],
                groups,
                [True, True, True],
            )
        return self.array(dx), self.array(dw), self.array(db)

    @contextmanager
    def without_onednn(self, leave_out: bool) -> Iterator[None]:
        """Leave oneDNN out on the CPU where it is wrong.

        In torch 2.13 it returns a wrong gradient of filters, from memory that it has not written, where windows about
        16 wide and 4 or more high fit once across and some 30 times down: `pytest properties/` drew a 64x16 image.
        """
        switch, enabled = self.torch._C._set_mkldnn_enabled, self.torch._C._get_mkldnn_enabled()
        if not (leave_out and enabled and self.device == "cpu"):
            yield
            return
        switch(False)
        try:
            yield
        finally:
            switch(True)

    @on_device
    def max_pool2d(
        self,
        x: Array,
        *,
        size: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array]:
        """Call max_pool2d with return_indices: x (N, C, H, W) -> y, switches (N, C, OH, OW)."""
        y, switches = self.torch.ops.aten.max_pool2d_with_indices(
            self.tensor(x), size, stride, padding, dilation, ceil_mode
        )
        return self.array(y), self.array(switches)

    @on_device
    def max_pool2d_backward(self, dy: Array, switches: Array, x_shape: Sequence[int]) -> Array:
        """Call the operator that autograd calls: dy, switches (N, C, OH, OW) -> dx of shape x_shape.

        The operator wants a geometry that leads from x's shape to dy's, and on the CPU does no more than check it. The
        true one is not told here: a row of H*W cells, cut into as many windows as there are outputs, always does.
        """
        N, C, H, W = x_shape
        gradient, outputs = self.tensor(dy), dy.shape[2] * dy.shape[3]
        cells = max(H * W, outputs)
        row = (N, C, 1, outputs)
        dx = self.torch.ops.aten.max_pool2d_with_indices_backward(
            gradient.reshape(row),
            gradient.new_empty((N, C, 1, cells)),
            (1, cells - outputs + 1),
            (1, 1),
            (0, 0),
            (1, 1),
            False,
            self.tensor(switches).reshape(row),
        )
        return self.array(dx[..., : H * W].reshape(N, C, H, W))

    @on_device
    def avg_pool2d(
        self,
        x: Array,
        *,
        size: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:
        """Call avg_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self.array(
            self.torch.ops.aten.avg_pool2d(self.tensor(x), size, stride, padding, ceil_mode, count_include_pad)
        )

    @on_device
    def avg_pool2d_backward(
        self,
        dy: Array,
        x_shape: Sequence[int],
        *,
        size: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:
        """Call the operator that autograd calls: dy (N, C, OH, OW) -> dx of shape x_shape."""
        gradient = self.tensor(dy)
        image = gradient.new_empty(tuple(x_shape))  # its shape is all that counts
        return self.array(
            self.torch.ops.aten.avg_pool2d_backward(
                gradient, image, size, stride, padding, ceil_mode, count_include_pad, None
            )
        )

    @on_device
    def l2_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False
    ) -> Array:
        """Take the root of a sum of squares, an average that divides by 1: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self.array(self.norms(self.tensor(x), size, stride, padding, ceil_mode))

    @on_device
    def l2_pool2d_backward(
        self, x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False
    ) -> Array:
        """Multiply x by the gathered dy / y, 0 where y is 0: x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W).

        Autograd through the root gives 0 * inf = NaN there; a mask is how a user of torch avoids it. So is the second
        one, for a cell that no window sees: it receives 0, be it NaN itself.
        """
        image = self.tensor(x)
        norms = self.norms(image, size, stride, padding, ceil_mode)
        scales = self.torch.where(norms == 0, 0, self.tensor(dy) / norms)
        gathered = self.torch.ops.aten.avg_pool2d_backward(scales, image, size, stride, padding, ceil_mode, True, 1)
        return self.array(self.torch.where(gathered == 0, 0, image * gathered))

    def norms(self, image: torch.Tensor, size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> torch.Tensor:
        """Take the L2 norm of each window, (N, C, H, W) -> (N, C, OH, OW), on the device."""
        squares = image * image
        sums: torch.Tensor = self.torch.ops.aten.avg_pool2d(squares, size, stride, padding, ceil_mode, True, 1)
        return sums.sqrt()

    def tensor(self, array: Array) -> torch.Tensor:
        """Bring an array to the device; what torch cannot share without a warning or an error is copied first."""
        if not (array.dtype.isnative and array.flags.behaved and all(step >= 0 for step in array.strides)):
            array = np.array(array, array.dtype.newbyteorder("="), order="C")
        return self.torch.from_numpy(array).to(self.device)

    def array(self, tensor: torch.Tensor) -> Array:
        """Bring a result back; the array keeps alive the memory that torch has just allocated for it, and no other."""
        result: Array = tensor.cpu().numpy()
        return result

    @contextmanager
    def settings(self) -> Iterator[None]:
        """On a GPU: let float32 be TF32 or not, choose repeatable algorithms, wait until all is done."""
        if self.device == "cpu":
            yield
            return
        cudnn, cuda = self.torch.backends.cudnn, self.torch.backends.cuda
        with GPU, cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=self.tf32):
            before = cuda.matmul.allow_tf32
            cuda.matmul.allow_tf32 = self.tf32
            try:
                yield
                self.torch.cuda.synchronize(self.device)
            finally:
                cuda.matmul.allow_tf32 = before


def in_c_order(array: Array) -> Array:
    """Give an array in C order with the strides of C order, also along axes of one cell, at which torch looks too."""
    return np.ascontiguousarray(array).ravel().reshape(array.shape)
