"""A plain WSGI service, that answers in every way that PEP 3333 allows."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

from apps_hub import CHUNKS, ETAG, FILE, GUARDED, LIST_BODY

from leakguard import LeakGuard, LeakGuardWSGIMiddleware

PLAIN = [("Content-Type", "text/plain")]


class Sized:
    """An iterable with a length and a `close`, as Django's and Werkzeug's are."""

    def __init__(self, body: list[bytes]) -> None:
        self._body = body
        self.closed = 0

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        self.closed += 1


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    answer = _ANSWERS.get(environ["PATH_INFO"])
    if answer is None:
        start_response("404 Not Found", list(PLAIN))
        return [b"nothing here"]
    body = answer(environ, start_response)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body


def _ready(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return [b"ready"]


def _single(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return [b"".join(LIST_BODY)]


def _several(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return list(LIST_BODY)


def _tuple(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return (b"in a tuple",)


def _sized(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return Sized([b"of a known length"])


def _generator(environ, start_response):
    start_response("200 OK", list(PLAIN))
    yield from CHUNKS


def _late(environ, start_response):
    start_response("200 OK", list(PLAIN))
    for chunk in CHUNKS:
        time.sleep(0.002)
        yield chunk


def _file(environ, start_response):
    size = os.path.getsize(FILE)
    start_response("200 OK", [*PLAIN, ("Content-Length", str(size))])
    wrapper = environ["wsgi.file_wrapper"]
    return wrapper(open(FILE, "rb"), 4096)


def _written(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    for chunk in CHUNKS:
        write(chunk)
    return [b"end"]


def _unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", ETAG)])
    return []


def _failing(environ, start_response):
    start_response("500 Internal Server Error", list(PLAIN))
    return [b"this failed"]


def _replaced(environ, start_response):
    start_response("200 OK", list(PLAIN))
    try:
        raise ValueError("the first answer is dropped")
    except ValueError:
        start_response("503 Service Unavailable", list(PLAIN), sys.exc_info())
    return [b"replaced"]


def _raising(environ, start_response):
    raise RuntimeError("raised before an answer")


_ANSWERS = {
    "/ready": _ready,
    "/single": _single,
    "/several": _several,
    "/tuple": _tuple,
    "/sized": _sized,
    "/generator": _generator,
    "/late": _late,
    "/file": _file,
    "/written": _written,
    "/unchanged": _unchanged,
    "/failing": _failing,
    "/replaced": _replaced,
    "/raising": _raising,
}

guard = LeakGuard()
app = guard.install(service) if GUARDED else service
validated_outside = validator(guard.install(service))
validated_inside = LeakGuardWSGIMiddleware(validator(service), guard=guard)
