"""Where a walk starts, under which name, and what it must not see or sees last."""

import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from ..core.site import is_library
from .harmless import POOLS, SERVERS, is_cancelled, is_server, package
from .safe import derives_from, instance_dict, is_module, label, module_dict, type_module
from .walk import Root

OWN = __name__.partition(".")[0]


def module_roots() -> list[Root]:
    """
    Return the globals of every module but leakguard's own.

    The service's own modules come first, then those of installed packages, then the standard
    library's, so that what several of them hold gets the name that its developers know.
    """
    ranked: list[tuple[int, Root]] = []
    for name, module in list(sys.modules.items()):
        if not _is_own(name):
            value = module_dict(module) if is_module(module) else module
            ranked.append((_rank(name, value), Root(name, value)))
    ranked.sort(key=lambda each: each[0])
    return [root for _, root in ranked]


def frame_roots(frames: Iterable[FrameType], *, harmless: bool) -> Iterator[Root]:
    """
    Return the local variables of running frames: those of servers and pools, or all others.

    `f_locals` writes to the frame, so call this in a child only. CPython does not let
    `gc.get_referents` see the locals of a frame that is being executed.
    """
    for frame in frames:
        each: FrameType | None = frame
        while each is not None:
            module = each.f_globals.get("__name__", "")
            wanted = (package(module) in SERVERS | POOLS) is harmless and not _is_own(module)
            if wanted and each.f_code.co_name != "<module>":
                yield Root(f"{module}.{each.f_code.co_qualname}()", dict(each.f_locals))
            each = each.f_back


def hidden() -> set[int]:
    """Return the identities of what a walk must not see: modules, and leakguard's globals."""
    ids = {id(sys.modules)}
    for name, module in list(sys.modules.items()):
        ids.add(id(module))
        if _is_own(name) and is_module(module):
            ids.add(id(module_dict(module)))
    return ids


def own_types() -> set[int]:
    """Return the identities of leakguard's classes, whose instances are not looked into."""
    return _types_of(_is_own)


def server_types() -> set[int]:
    """Return the identities of the classes of servers, whose instances are looked into last."""
    return _types_of(is_server)


def _types_of(wanted: Callable[[str], bool]) -> set[int]:
    found = set()
    for name, module in list(sys.modules.items()):
        if wanted(name) and is_module(module):
            for value in list(module_dict(module).values()):
                if derives_from(type(value), type) and wanted(type_module(value)):
                    found.add(id(value))
    return found


def _is_own(module: Any) -> bool:
    return type(module) is str and (module == OWN or module.startswith(OWN + "."))


def _rank(name: str, value: Any) -> int:
    if package(name) in sys.stdlib_module_names and name != "__main__":
        return 3
    file = value.get("__file__") if type(value) is dict else None
    if type(file) is not str:
        return 3
    if is_library(file):
        return 2
    # `python -m package` runs a module under this name that has a better one, too.
    return 1 if name == "__main__" else 0


def timer_lists(loops: Iterable[Any]) -> list[tuple[Any, Root, Root]]:
    """
    Return each asyncio loop's list of timers, with its live and its cancelled ones as roots.

    A cancelled timer stays in that list, with the context that it was made in, until those before
    it are due, or more than half of over a hundred are cancelled. That holds nothing for long.
    """
    found = []
    for loop in loops:
        timers = (instance_dict(loop) or {}).get("_scheduled")
        if type(timers) is list:
            name = f"<event loop {label(loop)}>._scheduled"
            alive: list[Any] = []
            cancelled: list[Any] = []
            for each in timers:
                (cancelled if is_cancelled(each) else alive).append(each)
            found.append((timers, Root(name, alive), Root(name, cancelled)))
    return found


def event_loop_roots(loops: Iterable[Any]) -> list[Root]:
    """Name the event loops that serve the application."""
    return [Root(f"<event loop {label(loop)}>", loop) for loop in loops]
