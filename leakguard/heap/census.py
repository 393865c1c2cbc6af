"""Count objects and bytes by type, and measure single objects, with pympler."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pympler import asizeof, summary

_BATCH = 5000
# pympler names some kinds one by one, as `function (send)`: too fine for a census.
_SINGLE = re.compile(r"^(function|module|frame) \(|^(module)\(")
_UNKNOWN = "(could not be sized)"


def census(objects: Sequence[Any]) -> list[tuple[str, int, int]]:
    """
    Return type, count and shallow size in bytes of *objects*, by `pympler.summary`.

    Takes about 3 us an object, and calls the `__sizeof__` of each: in a child only. An object
    that fails there is counted under a name that says so.
    """
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for begin in range(0, len(objects), _BATCH):
        for name, count, size_bytes in _summarized(objects[begin : begin + _BATCH]):
            single = _SINGLE.match(name)
            name = (single[1] or single[2]) if single else name
            counts[name] += count
            sizes[name] += size_bytes
    return [(name, count, sizes[name]) for name, count in counts.items()]


def _summarized(objects: Sequence[Any]) -> list[Any]:
    try:
        return summary.summarize(objects)  # type: ignore[no-any-return]
    except Exception:
        if len(objects) == 1:
            return [[_UNKNOWN, 1, 0]]
        half = len(objects) // 2
        return _summarized(objects[:half]) + _summarized(objects[half:])


def deep_size(objects: Sequence[Any]) -> int:
    """
    Return the size in bytes of *objects*, each once, by `pympler.asizeof`.

    Which objects belong together, the walk has found already, and better: pympler does not see
    what closures, coroutines and contexts hold. So it is told not to follow references.
    """
    total = 0
    for begin in range(0, len(objects), _BATCH):
        batch = objects[begin : begin + _BATCH]
        try:
            total += asizeof.asizeof(*batch, limit=0, code=True)
        except Exception:  # pragma: no cover - an object that fails, on CPython 3.13
            total += sum(map(_size_or_zero, batch))
    return total


def _size_or_zero(value: Any) -> int:  # pragma: no cover - on CPython 3.13
    try:
        return asizeof.asizeof(value, limit=0, code=True)  # type: ignore[no-any-return]
    except Exception:
        return 0
