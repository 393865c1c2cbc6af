"""Where walks start."""

import asyncio
import functools
import sys
from types import ModuleType

import pytest

import leakguard
from leakguard.core.registry import RouteRecord
from leakguard.heap.roots import (
    event_loop_roots,
    frame_roots,
    hidden,
    module_roots,
    own_types,
    timer_lists,
)


def names():
    return [root.name for root in module_roots()]


def add_module(monkeypatch, name, file):
    module = ModuleType(name)
    module.__file__ = file
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_own_modules_are_no_roots():
    """
    leakguard's globals are not walked, a package that only begins like it is.
    """
    found = names()

    assert not [name for name in found if name == "leakguard" or name.startswith("leakguard.")]


def test_package_with_a_similar_name_is_a_root(monkeypatch):
    """
    `leakguardian` is somebody else's.
    """
    add_module(monkeypatch, "leakguardian", "/srv/leakguardian.py")

    assert "leakguardian" in names()


def test_service_comes_before_libraries_and_the_standard_library(shop, monkeypatch):
    """
    What several modules hold gets the name that its developers know.
    """
    add_module(monkeypatch, "installed_shop", pytest.__file__)
    monkeypatch.setitem(sys.modules, "made_up_without_file", ModuleType("made_up_without_file"))
    add_module(monkeypatch, "__main__", "/srv/main.py")

    found = names()

    order = [found.index(name) for name in ("shop", "__main__", "installed_shop", "json")]
    assert order == sorted(order)
    assert found.index("made_up_without_file") > found.index("installed_shop")


def test_root_of_a_module_is_its_globals(shop):
    """
    A walk starts from the dictionary of a module.
    """
    root = next(root for root in module_roots() if root.name == "shop")

    assert root.value is vars(shop)


def test_anything_may_be_in_sys_modules(monkeypatch):
    """
    What is no module there is a root itself.
    """
    pretender = object()
    monkeypatch.setitem(sys.modules, "pretender", pretender)
    monkeypatch.setitem(sys.modules, "nothing", None)

    found = {root.name: root.value for root in module_roots()}

    assert found["pretender"] is pretender
    assert found["nothing"] is None


def test_modules_and_own_globals_are_hidden(shop):
    """
    Modules would lead everywhere, and leakguard's globals to what it keeps itself.
    """
    found = hidden()

    assert {id(sys.modules), id(shop), id(vars(leakguard))} <= found
    assert id(vars(shop)) not in found


def test_modules_of_extensions_are_hidden():
    """
    Looking into `_asyncio` itself never ends on CPython 3.12.0 to 3.12.5 (gh-122695).
    """
    assert id(sys.modules["_asyncio"]) in hidden()


def test_own_types_are_found():
    """
    leakguard's classes are known, others are not.
    """
    found = own_types()

    assert id(RouteRecord) in found
    assert id(functools.partial) not in found


def framed(name):
    """Return a frame of code of a module with this name."""
    space = {"__name__": name, "sys": sys}
    exec("def serve(local=1):\n    return sys._getframe()", space)
    return space["serve"]()


def test_locals_of_frames_are_roots():
    """
    Every frame of a thread but leakguard's own and modules' gives its locals.
    """
    here = sys._getframe()

    found = list(frame_roots([here], harmless=False))

    name = f"{__name__}.test_locals_of_frames_are_roots()"
    assert found[0].name == name
    assert found[0].value["here"] is here
    assert not any("<module>" in root.name for root in found)


@pytest.mark.parametrize(
    ("module", "harmless", "expected"),
    [
        pytest.param("shop.views", False, ["shop.views.serve()"], id="service"),
        pytest.param("shop.views", True, [], id="service-not-harmless"),
        pytest.param("uvicorn.main", True, ["uvicorn.main.serve()"], id="server"),
        pytest.param("uvicorn.main", False, [], id="server-is-harmless"),
        pytest.param("concurrent.futures.thread", False, [], id="pool-is-harmless"),
        pytest.param("leakguard.heap", False, [], id="own"),
        pytest.param("leakguard.heap", True, [], id="own-harmless"),
        pytest.param(None, False, ["None.serve()"], id="no-name"),
    ],
)
def test_frames_are_told_apart_by_their_package(module, harmless, expected):
    """
    Frames of servers and pools are harmless, leakguard's are not there.
    """
    found = [root.name for root in frame_roots([framed(module)], harmless=harmless)]

    assert [name for name in found if name.endswith(".serve()")] == expected


def test_module_level_frame_is_no_root():
    """
    The globals of a module that is being run are a root already.
    """
    space = {"__name__": "shop", "sys": sys}
    exec("frame = sys._getframe()", space)

    found = [root.name for root in frame_roots([space["frame"]], harmless=False)]

    assert not [name for name in found if name.startswith("shop.")]


def test_event_loops_are_named_by_their_type():
    """
    A loop is a root under the name of its class.
    """
    loop = asyncio.new_event_loop()

    (root,) = event_loop_roots([loop])
    loop.close()

    assert root.name == f"<event loop {type(loop).__qualname__}>"
    assert root.value is loop


def test_cancelled_timers_are_apart():
    """
    A loop's cancelled timers, which it drops later, are told from those that are due.
    """
    loop = asyncio.new_event_loop()
    due, cancelled = loop.call_later(3600, print), loop.call_later(3600, print)
    cancelled.cancel()

    ((timers, alive, dead),) = timer_lists([loop])
    due.cancel()
    loop.close()

    assert timers is loop._scheduled
    assert alive.value == [due]
    assert dead.value == [cancelled]
    assert alive.name == dead.name == f"<event loop {type(loop).__qualname__}>._scheduled"


def test_loop_without_a_list_of_timers_has_none():
    """
    Loops of other kinds keep their timers elsewhere.
    """
    assert timer_lists([object()]) == []
