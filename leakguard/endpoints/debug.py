"""The debug endpoints, as one Starlette application."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..exceptions import SnapshotNotFoundError, WalkError
from ..types import ASGIApp
from .auth import Await, Gate
from .problems import HEADERS, problem

Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
_RETRY_S = {"headroom": 60, "off": 3600, "refused": 60}


class Report(Protocol):
    """A document to show."""

    def to_dict(self) -> dict[str, Any]: ...


class Snapshot(Report, Protocol):
    """A census to show, and to compare."""

    @property
    def id(self) -> str: ...
    @property
    def taken_at(self) -> float: ...
    def compare_to(self, older: Any, /) -> Any: ...


class Source(Protocol):
    """Where the endpoints get what they show."""

    def report(self) -> Report: ...
    def recent_snapshot(self) -> Snapshot: ...
    def find_snapshot(self, name: str) -> Snapshot: ...
    def delete_snapshot(self, name: str) -> None: ...
    def all_snapshots(self) -> Any: ...
    def snapshot_before(self, snapshot: Any) -> Snapshot | None: ...


def debug_app(
    source: Source,
    gate: Gate | None,
    *,
    prefix: str,
    offload: Offload,
    resolve: Await,
    on_error: Callable[[Exception], None],
) -> ASGIApp:
    """
    Return the application that answers the debug URLs.

    Args:
        source: What is shown.
        gate: Who may see it; `None`: nobody, every URL answers 404.
        prefix: Path under which the URLs stand.
        offload: Runs a function that takes long, without stopping the event loop.
        resolve: Awaits what an async authorizer returned.
        on_error: Gets what went wrong unexpectedly; the client gets a plain 500.
    """
    pages = _Pages(source, offload)
    inner = Starlette(
        routes=[
            Route(f"{prefix}/memory", pages.memory, methods=["GET"]),
            Route(f"{prefix}/snapshot", pages.snapshot, methods=["GET"]),
            Route(f"{prefix}/snapshots", pages.snapshots, methods=["GET"]),
            Route(f"{prefix}/snapshots/{{id}}", pages.one_snapshot, methods=["GET", "DELETE"]),
        ],
        exception_handlers={
            HTTPException: _on_http,
            SnapshotNotFoundError: _on_missing,
            WalkError: _on_walk,
            Exception: _on_any,
        },
    )
    inner.router.redirect_slashes = False

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        answer: ASGIApp = problem(404, "not found")
        try:
            if gate is not None:
                answer = await gate.refusal(Request(scope), resolve) or inner
            await answer(scope, receive, send)
        except Exception as error:  # Starlette has answered 500 and raises it once more
            on_error(error)

    return guarded


class _Pages:
    def __init__(self, source: Source, offload: Offload) -> None:
        self._source = source
        self._offload = offload

    async def memory(self, request: Request) -> Response:
        _known_query(request)
        report = await self._offload(self._source.report)
        return _json(report.to_dict())

    async def snapshot(self, request: Request) -> Response:
        _known_query(request, "base")
        base = request.query_params.get("base")
        older = self._source.find_snapshot(base) if base is not None else None
        taken = await self._offload(self._source.recent_snapshot)
        if base is None:
            older = self._source.snapshot_before(taken)
        return _json(
            {
                **taken.to_dict(),
                "age_s": round(time.time() - taken.taken_at, 3),
                "base": older.id if older is not None else None,
                "diff": _rows(taken.compare_to(older)) if older is not None else None,
            }
        )

    async def snapshots(self, request: Request) -> Response:
        _known_query(request)
        kept = [each.to_dict() for each in self._source.all_snapshots()]
        return _json({"snapshots": [{**each, "types": len(each["types"])} for each in kept]})

    async def one_snapshot(self, request: Request) -> Response:
        _known_query(request)
        name = request.path_params["id"]
        if request.method == "DELETE":
            self._source.delete_snapshot(name)
            return Response(status_code=204, headers=HEADERS)
        return _json(self._source.find_snapshot(name).to_dict())


def _rows(diff: Any) -> list[dict[str, Any]]:
    return [
        {"type": row.type, "count_diff": row.count_diff, "size_diff": row.size_diff} for row in diff
    ]


def _known_query(request: Request, *known: str) -> None:
    for name, value in request.query_params.multi_items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise HTTPException(400, f"query parameters here are: {allowed}; got {name[:40]!r}")
        if not value or request.query_params.getlist(name) != [value]:
            raise HTTPException(400, f"query parameter {name} must be given once, with a value")


def _json(content: Any) -> Response:
    return JSONResponse(content, headers=HEADERS)


# Handlers are async, because Starlette runs sync ones in a thread, and so needs an event loop.


async def _on_http(_request: Request, error: Any) -> Response:
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_missing(_request: Request, error: Exception) -> Response:
    return problem(404, str(error))


async def _on_walk(_request: Request, error: Any) -> Response:
    return problem(503, str(error), {"Retry-After": str(_RETRY_S.get(error.reason, 10))})


async def _on_any(_request: Request, _error: Exception) -> Response:
    return problem(500, "leakguard failed to answer; the service's log says more")
