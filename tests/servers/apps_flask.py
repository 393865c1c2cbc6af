"""A Flask service with leaky routes and their mended twins."""

import time
from collections.abc import Iterator

from apps_hub import CHUNKS, ETAG, FILE, GUARDED, LIST_BODY, Hub
from blinker import Signal
from flask import Flask, Response, request, send_file, stream_with_context
from pyee import EventEmitter

from leakguard import LeakGuard

app = Flask(__name__)
bus = EventEmitter()
changed = Signal()
hub = Hub()


def _this_request():
    return request._get_current_object()


@app.get("/ready")
def ready() -> str:
    return "ready"


@app.get("/ok/<key>")
def ok(key: str) -> str:
    return key


# Leaky routes, each followed by its mended twin.


@app.get("/listener/<key>")
def listener(key: str) -> str:
    this = _this_request()
    bus.on("tick", lambda: this)
    return key


@app.get("/listener-mended/<key>")
def listener_mended(key: str) -> str:
    this = _this_request()

    def hear():
        return this

    bus.on("tock", hear)
    try:
        time.sleep(0.0001)
    finally:
        bus.remove_listener("tock", hear)
    return key


@app.get("/signal/<key>")
def signal(key: str) -> str:
    this = _this_request()
    changed.connect(lambda sender: this, weak=False)
    return key


@app.get("/signal-mended/<key>")
def signal_mended(key: str) -> str:
    this = _this_request()

    def hear(sender: object):
        return this

    changed.connect(hear)
    return key


@app.get("/kept/<key>")
def kept(key: str) -> str:
    hub.keep(_this_request())
    return key


@app.get("/kept-mended/<key>")
def kept_mended(key: str) -> str:
    number = hub.keep(_this_request())
    try:
        time.sleep(0.0001)
    finally:
        del hub.requests[number]
    return key


@app.get("/closure/<key>")
def closure(key: str) -> str:
    this = _this_request()
    hub.callbacks.append(lambda: this)
    return key


@app.get("/closure-mended/<key>")
def closure_mended(key: str) -> str:
    this = _this_request()
    hub.callbacks.append(lambda: this)
    hub.callbacks.pop()
    return key


@app.get("/events/<key>")
def events(key: str) -> Response:
    hub.open_stream(_this_request())
    return Response(_ticks(None), mimetype="text/event-stream")


@app.get("/events-mended/<key>")
def events_mended(key: str) -> Response:
    number = hub.open_stream(_this_request())
    return Response(stream_with_context(_ticks(number)), mimetype="text/event-stream")


def _ticks(number: int | None) -> Iterator[bytes]:
    try:
        while True:
            # More than any buffer holds, so that a client that is gone is noticed.
            yield b"data: " + b"tick" * 10_000 + b"\n\n"
            time.sleep(0.005)
    finally:
        if number is not None:
            del hub.streams[number]


# What must arrive byte for byte.


@app.get("/boom/<key>")
def boom(key: str) -> str:
    raise RuntimeError(key)


@app.route("/list", methods=["GET", "HEAD", "OPTIONS"])
def whole() -> Response:
    return Response(b"".join(LIST_BODY), mimetype="text/plain")


@app.get("/generated")
def generated() -> Response:
    return Response((chunk for chunk in CHUNKS), mimetype="text/plain")


@app.get("/streamed")
def streamed() -> Response:
    def chunks() -> Iterator[bytes]:
        for chunk in CHUNKS:
            time.sleep(0.001)
            yield chunk

    return Response(stream_with_context(chunks()), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(FILE)


@app.get("/unchanged")
def unchanged() -> Response:
    return Response(status=304, headers={"ETag": ETAG})


if GUARDED:
    guard = LeakGuard()
    guard.install(app)
