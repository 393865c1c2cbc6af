"""Requests of Django's ASGI and WSGI applications are counted under their URL patterns."""

import sys
import types

import django
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path, re_path

from leakguard import LeakGuard

from ..exchanges import ask, ask_wsgi, requests, rows

URLS = "tests.middleware.django_urls"


def item(request, id):  # noqa: A002
    return HttpResponse(str(id))


async def later(request, name):
    return HttpResponse(name)


def fail(request):
    raise ValueError("own")


@pytest.fixture(scope="module", autouse=True)
def django_settings():
    """Configure Django once, with a module of URLs made on the spot."""
    module = types.ModuleType(URLS)
    module.urlpatterns = [
        path("items/<int:id>/", item),
        path("fail/", fail),
        path("shop/<slug:room>/", include([path("later/<name>", later_in_room)])),
        re_path(r"^years/(?P<id>[0-9]{4})$", item),
    ]
    sys.modules[URLS] = module
    settings.configure(
        ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None, SECRET_KEY="x", ROOT_URLCONF=URLS, USE_TZ=True
    )
    django.setup()
    yield
    del sys.modules[URLS]


async def later_in_room(request, room, name):
    return await later(request, name)


@pytest.fixture(params=["asgi", "wsgi"])
def served(request, guard):
    """Return a function that asks a guarded Django application."""
    if request.param == "asgi":
        app, asking = guard.install(get_asgi_application()), ask
    else:
        app, asking = guard.install(get_wsgi_application()), ask_wsgi
    return lambda *given: asking(app, *given)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("url", "pattern", "status"),
    [
        ("/items/7/", "/items/<int:id>/", 200),
        ("/shop/room/later/x", "/shop/<slug:room>/later/<name>", 200),
        ("/years/2001", "/^years/(?P<id>[0-9]{4})$", 200),
        ("/fail/", "/fail/", 500),
        ("/nowhere", "<unmatched>", 404),
    ],
)
def test_route_is_the_pattern(guard, served, url, pattern, status):
    """
    Django's pattern with all its prefixes is the route, for views of both kinds and for failures.
    """
    reply = served(url)

    assert reply.status == status
    assert requests(guard) == {f"GET {pattern}": 1}


def test_view_is_named_as_the_handler(guard, served):
    """
    The report says which view serves a pattern.
    """
    served("/items/7/")

    assert rows(guard)["GET", "/items/<int:id>/"].handler.endswith(" in item")


def test_handler_is_adapted_once_for_each_guard():
    """
    Two guards on one handler both know the pattern, and installing again adapts nothing.
    """
    inner, outer = LeakGuard(monitor=False), LeakGuard(monitor=False)
    handler = get_wsgi_application()
    first, second = inner.install(handler), outer.install(handler)
    adapted = handler.resolve_request
    inner.install(handler)

    ask_wsgi(first, "/items/7/")
    ask_wsgi(second, "/items/7/")

    assert handler.resolve_request is adapted
    assert requests(inner) == requests(outer) == {"GET /items/<int:id>/": 1}


def test_handler_that_is_served_bare_still_answers(guard):
    """
    A request that no guard follows is resolved as ever.
    """
    handler = get_wsgi_application()
    guard.install(handler)

    assert ask_wsgi(handler, "/items/7/").body == b"7"
    assert requests(guard) == {}
