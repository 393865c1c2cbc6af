"""A stream that is read in part and never closed."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from flask import Blueprint, request

pages = Blueprint("streams", __name__, url_prefix="/streams")
exports: list[Iterator[str]] = []


@pages.get("/leaky")
def leaky() -> dict[str, str]:
    rows = export(request.environ)
    # Kept so that it can be read on later. Nobody does, and so it waits at its `yield` for ever.
    exports.append(rows)
    return {"preview": next(rows)}


@pages.get("/mended")
def mended() -> dict[str, str]:
    with closing(export(request.environ)) as rows:
        return {"preview": next(rows)}


def export(environ: dict[str, Any]) -> Iterator[str]:
    for number in range(1_000_000):
        yield f"{environ['PATH_INFO']};{number}\n"
