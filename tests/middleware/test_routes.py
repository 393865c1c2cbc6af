"""The route of an ASGI request is its template, in every framework, and their number is bounded."""

import asyncio
import random
import subprocess
import sys
import types

import litestar
import pytest
import starlette._utils
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from leakguard import LeakGuard, LeakGuardMiddleware
from leakguard.core.trace import OpenTrace

from ..exchanges import ask, exchange, http_scope, requests, rows, websocket_scope


def text(request):
    return PlainTextResponse("text")


def counted(guard, app, *paths, **more):
    """Return the routes of *app* that asking for *paths* has counted."""
    wrapped = LeakGuardMiddleware(app, guard=guard)
    for path in paths:
        ask(wrapped, path, **more)
    return {row.route: row.requests for row in guard.report().routes}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", "/"),
        ("/users/{id}", "/users/7"),
        ("/users/{id:int}", "/users/7"),
        ("/prices/{price:float}", "/prices/1.5"),
        ("/things/{id:uuid}", "/things/1cbe2a19-1ed9-4f9a-a5a5-e4a2a1d3b9ab"),
        ("/files/{path:path}", "/files/a/b/c"),
        ("/a/{b}/c/{d}", "/a/1/c/2"),
        ("/snow/{name}", "/snow/☃"),
    ],
)
def test_route_is_the_template(guard, template, path):
    """
    A request is counted under the template of its route, never under its path.
    """
    app = Starlette(routes=[Route(template, text)])

    assert counted(guard, app, path) == {template: 1}


def test_mounts_prefix_the_template(guard):
    """
    Mounts, nested and with parameters, are part of the template.
    """
    inner = Mount("/inner/{shelf}", routes=[Route("/books/{id}", text)])
    app = Starlette(routes=[Mount("/outer/{room:int}", routes=[inner, Route("/", text)])])

    assert counted(guard, app, "/outer/1/inner/a/books/7", "/outer/2/") == {
        "/outer/{room:int}/inner/{shelf}/books/{id}": 1,
        "/outer/{room:int}/": 1,
    }


def test_sub_applications_prefix_the_template(guard):
    """
    A mounted application's routes carry the prefix of the mount.
    """
    sub = Starlette(routes=[Route("/items/{id}", text)])
    api = FastAPI()

    @api.get("/items/{id}")
    def item(id):  # noqa: A002
        return id

    app = Starlette(routes=[Mount("/sub", sub), Mount("/api", api)])

    assert counted(guard, app, "/sub/items/1", "/api/items/1") == {
        "/sub/items/{id}": 1,
        "/api/items/{id}": 1,
    }


def test_host_routes_are_looked_into(guard):
    """
    Routes below a `Host` are known by their templates.
    """
    app = Starlette(routes=[Host("testserver", Router([Route("/items/{id}", text)]))])

    assert counted(guard, app, "/items/1") == {"/items/{id}": 1}


def test_mounted_callable_is_one_route(guard, tmp_path):
    """
    Static files and other mounted callables count as one route, whatever is asked of them.
    """
    (tmp_path / "a.css").write_text("a")
    (tmp_path / "b.css").write_text("b")
    app = Starlette(routes=[Mount("/static", StaticFiles(directory=tmp_path))])

    assert counted(guard, app, "/static/a.css", "/static/b.css", "/static/no.css") == {
        "/static/{path:path}": 3
    }


def test_class_based_endpoint_is_known_by_its_template(guard):
    """
    An `HTTPEndpoint` is counted under its route, by method.
    """

    class Item(HTTPEndpoint):
        def get(self, request):
            return PlainTextResponse("got")

        def post(self, request):
            return PlainTextResponse("posted")

    wrapped = LeakGuardMiddleware(Starlette(routes=[Route("/items/{id}", Item)]), guard=guard)

    ask(wrapped, "/items/1")
    ask(wrapped, "/items/2", "POST")

    assert requests(guard) == {"GET /items/{id}": 1, "POST /items/{id}": 1}


def test_endpoint_on_several_routes_is_told_apart_by_path(guard):
    """
    One function behind several templates is counted under the one that the path fits.
    """
    app = Starlette(
        routes=[
            Route("/v1/items/{id:int}", text),
            Route("/v2/items/{id}", text),
            Route("/files/{path:path}", text),
            Mount("/sub/{name}", routes=[Route("/items/{id}", text)]),
        ]
    )

    paths = ("/v1/items/7", "/v2/items/x", "/files/a/b", "/sub/n/items/1", "/v2/items/y")
    assert counted(guard, app, *paths) == {
        "/v1/items/{id:int}": 1,
        "/v2/items/{id}": 2,
        "/files/{path:path}": 1,
        "/sub/{name}/items/{id}": 1,
    }


def test_endpoint_for_several_methods_is_one_template(guard):
    """
    One function that stands twice on one path, for different methods, has one template.
    """
    app = Starlette(routes=[Route("/items/{id}", text, methods=[each]) for each in ("GET", "POST")])

    assert counted(guard, app, "/items/1") == {"/items/{id}": 1}


def test_endpoint_that_was_rewritten_to_is_known_by_its_first_template(guard):
    """
    Where the path as it came fits no template of an endpoint, the first stands for it.
    """
    table = Starlette(routes=[Route("/a/{id}", text), Route("/b/{id}", text)])

    async def app(scope, receive, send):
        scope["endpoint"] = text

    app.routes = table.routes

    assert counted(guard, app, "/alias") == {"/a/{id}": 1}


def test_route_of_a_kind_of_its_own_is_left_out(guard):
    """
    A route object without endpoint, routes or application is nothing that could be matched.
    """
    app = Starlette(routes=[Route("/items/{id}", text)])
    app.router.routes.append(types.SimpleNamespace(path="/strange"))

    assert counted(guard, app, "/items/1") == {"/items/{id}": 1}


def test_endpoint_that_stands_on_two_routes_of_one_shape_is_counted_under_one(guard):
    """
    Where the path fits several templates of an endpoint, the first is taken.
    """
    app = Starlette(routes=[Route("/{a}", text), Route("/{b}", text)])

    assert counted(guard, app, "/x") == {"/{a}": 1}


def test_included_routers_of_fastapi_carry_their_prefixes(guard):
    """
    `include_router` with a prefix, nested, and the same router twice, give full templates.
    """
    leaf = APIRouter(prefix="/items")

    @leaf.get("/{id}")
    async def item(id: int):  # noqa: A002
        return id

    middle = APIRouter()
    middle.include_router(leaf, prefix="/shop")
    app = FastAPI()
    app.include_router(middle, prefix="/v1")
    app.include_router(middle, prefix="/v2")
    app.include_router(leaf)

    paths = ("/v1/shop/items/1", "/v2/shop/items/1", "/v2/shop/items/2", "/items/3")
    assert counted(guard, app, *paths) == {
        "/v1/shop/items/{id}": 1,
        "/v2/shop/items/{id}": 2,
        "/items/{id}": 1,
    }


def test_failed_validation_of_fastapi_is_counted_under_its_template(guard):
    """
    A request that FastAPI refuses with 422 has its route all the same.
    """
    app = FastAPI()

    @app.get("/items/{id}")
    async def item(id: int):  # noqa: A002
        return id

    assert counted(guard, app, "/items/x") == {"/items/{id}": 1}


def test_websocket_route_is_known_by_its_template(guard):
    """
    A WebSocket below a mount has its full template.
    """

    async def echo(websocket):
        await websocket.close()

    app = Starlette(routes=[Mount("/ws", routes=[WebSocketRoute("/{room}", echo)])])
    wrapped = LeakGuardMiddleware(app, guard=guard)

    asyncio.run(exchange(wrapped, websocket_scope("/ws/7"), [{"type": "websocket.connect"}]))

    assert requests(guard) == {"WEBSOCKET /ws/{room}": 1}


def test_unmatched_paths_share_one_route(guard):
    """
    What no route answers is `<unmatched>`, also where Starlette only redirects.
    """
    app = Starlette(routes=[Route("/items/", text)])

    assert counted(guard, app, "/a", "/b", "/items") == {"<unmatched>": 3}


def test_refused_method_is_counted_under_the_template(guard):
    """
    A 405 belongs to the route that refused it.
    """
    wrapped = LeakGuardMiddleware(
        Starlette(routes=[Route("/items/{id}", text, methods=["GET"])]), guard=guard
    )

    reply = ask(wrapped, "/items/1", "POST")

    assert reply.status == 405
    assert requests(guard) == {"POST /items/{id}": 1}


def test_root_path_of_the_server_is_no_part_of_the_template(guard):
    """
    Behind a proxy that sets `root_path` the templates are the application's own.
    """
    app = Starlette(
        routes=[
            Route("/items/{id}", text),
            Route("/more/{id}", text),
            Mount("/sub", routes=[Route("/items/{id}", text)]),
        ]
    )

    # Starlette before 0.33 wants the path without it.
    proxy = "/proxy" if hasattr(starlette._utils, "get_route_path") else ""
    paths = (f"{proxy}/items/1", f"{proxy}/sub/items/1", f"{proxy}/more/1")
    assert counted(guard, app, *paths, root_path="/proxy") == {
        "/items/{id}": 1,
        "/sub/items/{id}": 1,
        "/more/{id}": 1,
    }


def test_route_added_while_serving_is_found(guard):
    """
    The table of routes is read anew when an endpoint is not in it.
    """
    app = Starlette(routes=[Route("/first/{id}", text)])
    assert counted(guard, app, "/first/1") == {"/first/{id}": 1}

    def later(request):
        return PlainTextResponse("later")

    app.router.routes.append(Route("/later/{id}", later))

    assert counted(guard, app, "/later/1") == {"/first/{id}": 1, "/later/{id}": 1}


def test_guard_in_a_sub_application_sees_its_routes(guard):
    """
    A guard that wraps only what is mounted counts with the templates that it can see.
    """
    sub = Starlette(routes=[Route("/items/{id}", text)])
    app = Starlette(
        routes=[
            Mount("/sub", LeakGuardMiddleware(sub, guard=guard)),
            Route("/other", text),
        ]
    )

    for path in ("/sub/items/1", "/sub/items/2", "/other"):
        assert ask(app, path).body == b"text"

    assert requests(guard) == {"GET /items/{id}": 2}


def test_guard_around_the_whole_and_around_a_part_counts_once(guard):
    """
    Where the same guard wraps an application and one mounted in it, the outer one counts.
    """
    sub = Starlette(routes=[Route("/items/{id}", text)])
    app = Starlette(routes=[Mount("/sub", LeakGuardMiddleware(sub, guard=guard))])

    assert counted(guard, app, "/sub/items/1").popitem()[1] == 1
    assert sum(row.requests for row in guard.report().routes) == 1


def test_handler_of_a_route_is_named(guard):
    """
    The report says which function serves a route.
    """
    counted(guard, Starlette(routes=[Route("/items", text)]), "/items")

    (row,) = guard.report().routes
    assert row.handler == f"{__file__}:{text.__code__.co_firstlineno} in text"


def test_endpoint_outside_of_the_routes_is_unmatched(guard):
    """
    An endpoint that no table knows has no template, however many such endpoints there are.
    """

    async def app(scope, receive, send):
        scope["endpoint"] = object()
        kept.append(scope["endpoint"])

    kept = []
    wrapped = LeakGuardMiddleware(app, guard=guard)

    async def main():
        for number in range(1500):
            await exchange(wrapped, http_scope(f"/{number}"))

    asyncio.run(main())

    assert requests(guard) == {"GET <unmatched>": 1500}


def test_endpoint_that_no_table_knows_is_looked_up_once(guard):
    """
    A table is not read again for an endpoint that it was read for in vain.
    """
    reads = []

    class Stranger(Starlette):
        @property
        def routes(self):
            reads.append(True)
            return super().routes

        async def __call__(self, scope, receive, send):
            scope["endpoint"] = text

    app = Stranger(routes=[Route("/other", lambda _: None)])

    assert counted(guard, app, "/a", "/b", "/c") == {"<unmatched>": 3}
    assert len(reads) == 1


def test_route_object_in_the_scope_is_used_where_no_table_is(guard):
    """
    A framework that leaves its route in the scope, but lists none, is known by that.
    """

    async def app(scope, receive, send):
        scope["endpoint"] = text
        scope["route"] = types.SimpleNamespace(path="/left/{here}")

    assert counted(guard, app, "/left/1") == {"/left/{here}": 1}


def test_route_object_below_a_mount_is_not_trusted(guard):
    """
    The path of a route object below a mount lacks the prefix, so it is not taken for the template.
    """

    async def app(scope, receive, send):
        scope["endpoint"] = text
        scope["route"] = types.SimpleNamespace(path="/left/{here}")
        scope["app_root_path"], scope["root_path"] = "", "/mount"

    assert counted(guard, app, "/mount/left/1") == {"<unmatched>": 1}


def test_routes_that_contain_themselves_are_read_to_an_end(guard):
    """
    A routing table with a loop in it does no harm.
    """
    app = Starlette(routes=[Route("/items/{id}", text)])
    app.router.routes.append(Mount("/again", app))

    assert "/items/{id}" in counted(guard, app, "/items/1")


def test_old_starlette_that_cuts_the_path_at_mounts_is_understood(guard):
    """
    Before 0.33 Starlette left only the rest of the path in the scope, and the rest in `root_path`.
    """
    table = Starlette(
        routes=[
            Mount("/sub", routes=[Route("/items/{id}", text)]),
            Route("/items/{id}", text),
        ]
    )

    async def app(scope, receive, send):
        scope["endpoint"] = text
        scope["path"], scope["root_path"], scope["app_root_path"] = "/items/1", "/sub", ""

    app.routes = table.routes

    assert counted(guard, app, "/sub/items/1") == {"/sub/items/{id}": 1}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its path parameters, in this style
def test_litestar_routes_are_templates(guard):
    """
    Litestar's templates are counted, those of routers and controllers included.
    """

    @litestar.get("/{item_id:int}", sync_to_thread=False)
    def item(item_id: int) -> int:
        return item_id

    class Shelf(litestar.Controller):
        path = "/shelf"

        @litestar.get("/{name:str}", sync_to_thread=False)
        def one(self, name: str) -> str:
            return name

    app = litestar.Litestar(
        [litestar.Router("/items", route_handlers=[item]), Shelf], openapi_config=None
    )

    found = counted(guard, app, "/items/1", "/items/2", "/shelf/a", "/nowhere", "/items/x")

    assert found.pop("<unmatched>") == 2
    assert sorted(found.values()) == [1, 2]
    assert all("{" in template for template in found)


def test_quart_rules_are_templates(guard):
    """
    Quart's rules are counted, those of blueprints and of failing handlers included.
    """
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)
    shop = quart.Blueprint("shop", __name__, url_prefix="/shop")

    @shop.get("/items/<int:id>")
    async def item(id):  # noqa: A002
        return str(id)

    @app.get("/fail/<name>")
    async def fail(name):
        raise ValueError("own")

    app.register_blueprint(shop)

    assert counted(guard, guard.install(app), "/shop/items/1", "/fail/x", "/nowhere") == {
        "/shop/items/<int:id>": 1,
        "/fail/<name>": 1,
        "<unmatched>": 1,
    }
    assert "item" in rows(guard)["GET", "/shop/items/<int:id>"].handler


def test_quart_websocket_rules_are_templates(guard):
    """
    A WebSocket of Quart's is counted under its rule.
    """
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)

    @app.websocket("/ws/<room>")
    async def echo(room):
        await quart.websocket.send(room)

    guard.install(app)

    asyncio.run(exchange(app, websocket_scope("/ws/a"), [{"type": "websocket.connect"}]))

    assert requests(guard) == {"WEBSOCKET /ws/<room>": 1}


def test_quart_request_that_no_guard_follows_is_answered(guard):
    """
    Once its guard is closed off, the note that Quart's adapter would take is simply not taken.
    """
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)

    @app.get("/items/<id>")
    async def item(id):  # noqa: A002
        return id

    guard.install(app)
    bare = app.asgi_app.app

    assert ask(bare, "/items/7").body == b"7"
    assert requests(guard) == {}


def test_scanner_does_not_grow_the_guard():
    """
    20,000 distinct paths and methods at random keep the registry at its bound.
    """
    guard = LeakGuard(monitor=False, max_routes=10)
    app = LeakGuardMiddleware(
        Starlette(routes=[Route("/items/{id}", text), Mount("/m", routes=[Route("/", text)])]),
        guard=guard,
    )
    chance = random.Random(1)

    async def scan(count):
        for _ in range(count):
            path = "/" + "".join(chance.choices("abcdef/%{}", k=12))
            method = "".join(chance.choices("GETPOSX", k=chance.choice((3, 4))))
            await exchange(app, http_scope(path, method))

    for method in ("GET", "POST"):
        ask(app, "/", method)
    asyncio.run(scan(1_998))
    before = stored(guard)
    asyncio.run(scan(18_000))

    assert stored(guard) == before
    assert len(guard.report().routes) <= 11
    assert sum(row.requests for row in guard.report().routes) == 20_000
    assert {row.route for row in guard.report().routes} <= {"<unmatched>", "<other>", "/items/{id}"}


def test_many_templates_end_in_other():
    """
    Beyond `max_routes` further routes are counted together.
    """
    guard = LeakGuard(monitor=False, max_routes=3)
    app = Starlette(routes=[Route(f"/{number}", lambda _: text(_)) for number in range(6)])

    found = counted(guard, app, *(f"/{number}" for number in range(6)), "/5")

    assert found == {"/0": 1, "/1": 1, "/2": 1, "<other>": 4}


def test_unknown_method_is_counted_as_other(guard):
    """
    A method that no standard knows is not kept by its name.
    """
    wrapped = LeakGuardMiddleware(Starlette(routes=[Route("/", text)]), guard=guard)

    ask(wrapped, "/", "BREW")
    ask(wrapped, "/", "get")

    assert requests(guard) == {"<other> /": 2}


def test_library_is_imported_by_nobody_but_the_service():
    """
    Wrapping a plain application imports no framework.
    """
    code = (
        "import sys; from leakguard import *\n"
        "LeakGuardMiddleware(lambda s, r, t: None); LeakGuardWSGIMiddleware(lambda e, s: [])\n"
        "print([n for n in ('quart', 'django', 'flask', 'fastapi') if n in sys.modules])"
    )

    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert seen.stdout.strip() == "[]"


def stored(guard):
    """Return how many things of each type a guard's own stores hold, following plain containers."""
    seen, counts = set(), {}
    todo = [guard]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        own = type(value).__module__.startswith("leakguard.")
        if own and not isinstance(value, OpenTrace):
            names = [
                name
                for kind in type(value).__mro__
                for name in [*getattr(kind, "__slots__", ()), *getattr(value, "__dict__", ())]
            ]
            todo += [getattr(value, name) for name in names if hasattr(value, name)]
        elif isinstance(value, dict):
            counts["items"] = counts.get("items", 0) + len(value)
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            counts["items"] = counts.get("items", 0) + len(value)
            todo += list(value)
    return counts
