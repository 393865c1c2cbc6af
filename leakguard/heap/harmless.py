"""What holds requests and does no harm: servers, for the last request of each connection."""

import asyncio
import sys
from collections.abc import Callable
from gc import get_referents
from types import BuiltinFunctionType, CoroutineType, MethodType
from typing import Any

from .safe import derives_from, type_module

SERVERS = frozenset(
    ("daphne", "granian", "gunicorn", "h11", "h2", "httptools", "hypercorn", "uvicorn",
     "uwsgi", "waitress", "websockets", "wsgiref", "wsproto", "http", "socketserver")
)  # fmt: skip
POOLS = frozenset(("anyio", "concurrent"))
"""Packages whose idle threads still have their last job in a local variable."""

_BETWEEN = (tuple, list, MethodType, BuiltinFunctionType, asyncio.Future, asyncio.Timeout)
_MAX_BETWEEN = 50
_read_cancelled: Any = vars(asyncio.Handle)["_cancelled"].__get__


def package(module: Any) -> str:
    """Return the top-level package of a module's name."""
    return module.partition(".")[0] if type(module) is str else ""


def is_server(module: Any) -> bool:
    """Tell whether a module is of a server's package."""
    return package(module) in SERVERS


def harmless_if() -> dict[int, Callable[[Any], bool]]:
    """
    Return, by the identity of a type, what tells whether an instance holds without harm.

    Timers and tasks remember the context that they were made in. A server makes some while it
    answers a request, to close an idle connection say.
    """
    found: dict[int, Callable[[Any], bool]] = {
        id(asyncio.Handle): _calls_server,
        id(asyncio.TimerHandle): _calls_server,
        id(asyncio.Task): _is_server_task,
    }
    # Not imported, as the service may not use it.
    uvloop = sys.modules.get("uvloop.loop")
    for name in ("Handle", "TimerHandle"):
        kind = getattr(uvloop, name, None)
        if kind is not None:
            found[id(kind)] = _calls_server
    return found


def is_cancelled(handle: Any) -> bool:
    """Tell whether a handle of asyncio's has been cancelled."""
    return derives_from(type(handle), asyncio.Handle) and _read_cancelled(handle) is True


def _calls_server(handle: Any) -> bool:
    """
    Tell whether a timer will call a server, or wake a task of one.

    `asyncio.wait_for` and `asyncio.timeout` stand between a timer and the task that waits: the
    timer holds a future, or a timeout, that holds the task.
    """
    seen = [handle]
    for value in seen:
        for each in get_referents(value):
            kind = type(each)
            if kind is MethodType and is_server(type_module(type(each.__self__))):
                return True
            if kind is asyncio.Task:
                return _is_server_task(each)
            if any(kind is between for between in _BETWEEN) and len(seen) < _MAX_BETWEEN:
                seen.append(each)
    return False


def _is_server_task(task: Any) -> bool:
    for each in get_referents(task):
        if type(each) is CoroutineType and each.cr_frame is not None:
            return is_server(each.cr_frame.f_globals.get("__name__"))
    return False
