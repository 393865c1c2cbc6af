"""Name one reference, from an object to the next, as a developer would type it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from gc import get_referents
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
)
from typing import Any

from .safe import (
    derives_from,
    instance_dict,
    key_holding,
    label,
    member_holding,
    namespace_of,
    type_module,
    type_name,
)

_CONTAINERS = (list, tuple, set, frozenset, dict, deque)
_FRAMES = (
    (CoroutineType, "cr_frame"),
    (GeneratorType, "gi_frame"),
    (AsyncGeneratorType, "ag_frame"),
)
_UNNAMED = "[*]"


@dataclass(frozen=True, slots=True)
class Step:
    """
    One reference on a path.

    `edge` is an attribute (`.name`), or `[*]` for any index or key; on the first step, the root's
    name. `to` is the type of what it leads to, or the name of the code.
    """

    edge: str
    to: str

    def __str__(self) -> str:
        return f"{self.edge}: {self.to}"


def edge_at(before: Sequence[Any], child: Any) -> Step | None:
    """
    Name the reference from the last of *before* to *child*.

    Args:
        before: Up to three objects that lead to *child*, the nearest last.
        child: Where the reference leads.

    Returns:
        The step, or `None` where *child* only implements what holds it: an instance's `__dict__`,
        a closure's cells, the inner nodes of a context. The step after it then has the name.
    """
    parent = before[-1]
    above = before[-2] if len(before) > 1 else None
    if _is_inner(parent, child):
        return None
    return Step(_edge(parent, child, above, before[0]), label(child))


def _is_inner(parent: Any, child: Any) -> bool:
    kind = type(child)
    if kind is dict:
        return _is_namespace(parent, child)
    if kind is CellType:
        return True
    if kind is tuple:
        return type(parent) is FunctionType and parent.__closure__ is child
    return type_module(kind) == "builtins" and type_name(kind).startswith("hamt")


def _is_namespace(owner: Any, mapping: dict[Any, Any]) -> bool:
    """Tell whether *mapping* holds the attributes of *owner*."""
    kind = type(owner)
    if kind is dict or kind is list or kind is tuple:
        return False
    if derives_from(kind, type):
        return any(each is mapping for each in get_referents(namespace_of(owner)))
    return instance_dict(owner) is mapping


def _edge(parent: Any, child: Any, above: Any, first: Any) -> str:
    kind = type(parent)
    if kind is dict:
        if above is None or _is_namespace(above, parent):
            return _attribute(key_holding(parent, child))
        return _UNNAMED
    if kind is CellType:
        return _closure_edge(first, above, parent)
    if kind is FrameType:
        return _attribute(key_holding(dict(parent.f_locals), child))
    for each, frame_name in _FRAMES:
        if kind is each:
            frame = getattr(parent, frame_name)
            return _attribute(key_holding(dict(frame.f_locals), child) if frame else None)
    if _is_container(kind):
        return _UNNAMED
    attributes = instance_dict(parent) or {}
    return _attribute(member_holding(parent, child) or key_holding(attributes, child))


def _is_container(kind: type) -> bool:
    return any(derives_from(kind, each) for each in _CONTAINERS)


def _attribute(name: str | None) -> str:
    return _UNNAMED if name is None else f".{name}"


def _closure_edge(function: Any, closure: Any, cell: Any) -> str:
    if type(function) is FunctionType and type(closure) is tuple:
        for name, each in zip(function.__code__.co_freevars, closure, strict=False):
            if each is cell:
                return f".<closure {name}>"
    return ".<closure>"
