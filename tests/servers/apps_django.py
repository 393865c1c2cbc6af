"""A Django service with leaky routes and their mended twins, for ASGI and for WSGI."""

from typing import Any

import django
from apps_hub import Hub
from blinker import Signal
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from pyee import EventEmitter

from leakguard import LeakGuard

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of no use", LOGGING_CONFIG=None
)
django.setup()

bus = EventEmitter()
changed = Signal()
hub = Hub()


def ok(request: HttpRequest, key: str = "ready") -> HttpResponse:
    return HttpResponse(key)


def boom(request: HttpRequest, key: str) -> HttpResponse:
    raise RuntimeError(key)


def listener(request: HttpRequest, key: str) -> HttpResponse:
    bus.on("tick", lambda: request)
    return HttpResponse(key)


def listener_mended(request: HttpRequest, key: str) -> HttpResponse:
    def hear() -> Any:
        return request

    bus.on("tock", hear)
    try:
        return HttpResponse(key)
    finally:
        bus.remove_listener("tock", hear)


def signal(request: HttpRequest, key: str) -> HttpResponse:
    changed.connect(lambda sender: request, weak=False)
    return HttpResponse(key)


def signal_mended(request: HttpRequest, key: str) -> HttpResponse:
    def hear(sender: object) -> Any:
        return request

    changed.connect(hear)
    return HttpResponse(key)


def kept(request: HttpRequest, key: str) -> HttpResponse:
    hub.keep(request)
    return HttpResponse(key)


def kept_mended(request: HttpRequest, key: str) -> HttpResponse:
    number = hub.keep(request)
    try:
        return HttpResponse(key)
    finally:
        del hub.requests[number]


def closure(request: HttpRequest, key: str) -> HttpResponse:
    hub.callbacks.append(lambda: request)
    return HttpResponse(key)


def closure_mended(request: HttpRequest, key: str) -> HttpResponse:
    hub.callbacks.append(lambda: request)
    hub.callbacks.pop()
    return HttpResponse(key)


urlpatterns = [
    path("ready", ok),
    path("list", ok),
    path("ok/<key>", ok),
    path("boom/<key>", boom),
    path("listener/<key>", listener),
    path("listener-mended/<key>", listener_mended),
    path("signal/<key>", signal),
    path("signal-mended/<key>", signal_mended),
    path("kept/<key>", kept),
    path("kept-mended/<key>", kept_mended),
    path("closure/<key>", closure),
    path("closure-mended/<key>", closure_mended),
]

guard = LeakGuard()


def asgi() -> Any:
    """Return the guarded ASGI application."""
    from django.core.asgi import get_asgi_application

    return guard.install(get_asgi_application())


def wsgi() -> Any:
    """Return the guarded WSGI application."""
    from django.core.wsgi import get_wsgi_application

    return guard.install(get_wsgi_application())
