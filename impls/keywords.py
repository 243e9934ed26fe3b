"""What filters were prepared for: a convolution takes them under the same keywords, and refuses others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from impls import arguments
from impls.arguments import Array, Padding, Pair


@dataclass(frozen=True)
class Keywords:
    """The keywords of a convolution, each in one spelling."""

    stride: tuple[int, int]
    padding: str | tuple[Any, Any]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(cls, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1) -> Keywords:
        """Check them. Raises ValueError naming the value."""
        around = arguments.sides(padding)
        return cls(
            arguments.pair(stride, "stride", 1),
            padding if isinstance(padding, str) else around,
            arguments.pair(dilation, "dilation", 1),
            arguments.integer(groups, "groups", 1),
        )

    @classmethod
    def of_filters(cls, w: Array, **keywords: Any) -> Keywords:
        """Check filters w (K, C/G, FH, FW) as well. Raises ValueError naming the value."""
        arguments.common_dtype(w=w)
        arguments.dimensions(w=w)
        found = cls.of(**keywords)
        if w.shape[0] % found.groups:
            raise ValueError(f"groups {found.groups}: a divisor of the {w.shape[0]} filters is accepted")
        return found

    def expect(self, **keywords: Any) -> None:
        """Refuse, by ValueError, other keywords than these."""
        given = Keywords.of(**keywords)
        for name in ("stride", "padding", "dilation", "groups"):
            ours, theirs = getattr(self, name), getattr(given, name)
            if ours != theirs:
                raise ValueError(f"{name} {theirs}: {ours} is accepted, for which the filters were prepared")
