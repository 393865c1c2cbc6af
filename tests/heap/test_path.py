"""Ways from a root to what is kept."""

import functools
import json
import sys

from leakguard.heap.path import Path, PathNamer
from leakguard.heap.roots import hidden
from leakguard.heap.walk import Root, Walker

from .names import index_of, path_to


class Kept:
    pass


class Hub:
    def __init__(self):
        self.subscribers = {}


def test_holder_is_the_nearest_dotted_name():
    """
    The holder's name ends where indices and keys begin.
    """
    kept, hub = Kept(), Hub()
    hub.subscribers["a"] = [kept]

    _, path = path_to(kept, hub)

    assert path.holder == "shop.it.subscribers"
    assert path.lines == ("shop.it: Hub", ".subscribers: dict", "[*]: list")


def test_paths_differing_in_keys_only_are_one():
    """
    However many subscribers there are, they have one path, and no key shows in it.
    """
    hub, kept = Hub(), [Kept() for _ in range(5)]
    for number, each in enumerate(kept):
        hub.subscribers[f"hush {number}"] = [each]

    lines = {path_to(each, hub)[1].lines for each in kept}

    assert len(lines) == 1
    assert "hush" not in str(lines)


def test_first_element_is_below_the_container():
    """
    The first node below an index or key is what one element of a container is.
    """
    kept, hub = Kept(), Hub()
    element = hub.subscribers["a"] = [[kept]]

    walk = Walker([Root("shop", {"it": hub})], skip=hidden()).walk()
    path = PathNamer(walk).path_to(index_of(walk, kept))

    assert walk.objects[path.first_element] is element


def test_first_element_without_a_container_is_the_object():
    """
    Where no index or key is passed, the object that was asked for stands for itself.
    """
    kept, hub = Kept(), Hub()
    hub.current = kept

    walk = Walker([Root("shop", {"it": hub})], skip=hidden()).walk()
    path = PathNamer(walk).path_to(index_of(walk, kept))

    assert walk.objects[path.first_element] is kept


def test_root_object_is_named_by_its_type():
    """
    A root that is no module keeps its own name.
    """
    kept, hub = Kept(), Hub()
    hub.current = kept

    walk = Walker([Root("<application Hub>", hub)], skip=hidden()).walk()
    path = PathNamer(walk).path_to(index_of(walk, kept), inclusive=True)

    assert path.lines == ("<application Hub>: Hub", ".current: Kept")
    assert path.holder == "<application Hub>.current"


def test_root_itself_has_a_path():
    """
    The path to a root is the root.
    """
    hub = Hub()

    walk = Walker([Root("<application Hub>", hub)], skip=hidden()).walk()
    path = PathNamer(walk).path_to(0)

    assert path.lines == ("<application Hub>: Hub",)
    assert path.nodes == (0,)


def test_long_chain_is_cut():
    """
    A linked list of any length gives a path of bounded length.
    """
    kept = chain = [Kept()]
    for _ in range(500):
        chain = [chain]

    _, path = path_to(kept[0], chain)

    assert len(path.steps) <= 100
    assert isinstance(path, Path)


def test_site_is_the_nearest_code_of_the_service():
    """
    Of several functions on the way the one nearest to what is kept is named.
    """
    kept = Kept()

    def inner():
        return kept

    def outer():
        return inner

    namer, path = path_to(kept, outer)

    site = namer.site_on(path)
    assert site.function == inner.__qualname__
    assert (site.file, site.line, site.how) == (__file__, inner.__code__.co_firstlineno, "holder")


def test_wrapper_is_named_by_what_it_wraps():
    """
    A decorator's wrapper says little: the function inside it is named.
    """
    kept = Kept()

    def listener():
        return None

    @functools.wraps(listener)
    def wrapper():
        return kept, listener

    namer, path = path_to(kept, wrapper)

    assert namer.site_on(path).line == listener.__code__.co_firstlineno


def test_wrapped_that_is_no_function_is_passed_over():
    """
    Anything may be set as `__wrapped__`.
    """
    kept = Kept()

    def wrapper():
        return kept

    wrapper.__wrapped__ = 3

    namer, path = path_to(kept, wrapper)

    assert namer.site_on(path).line == wrapper.__code__.co_firstlineno


def test_service_code_wins_over_nearer_library_code():
    """
    A library's function is named only where there is no other code.
    """
    kept = Kept()
    library = type(json.dumps)(
        compile("def f(): pass", json.__file__, "exec").co_consts[0], {}, "f"
    )
    library.kept = kept

    def service():
        return library

    namer, path = path_to(kept, service)
    alone_namer, alone = path_to(kept, library)

    assert namer.site_on(path).function == service.__qualname__
    assert alone_namer.site_on(alone).file == json.__file__


def test_path_without_code_has_no_site():
    """
    Plain containers have no place in source code.
    """
    namer, path = path_to(kept := Kept(), [kept])

    assert namer.site_on(path) is None


def test_suspended_code_is_named_at_the_line_where_it_waits():
    """
    A coroutine, generator or async generator is named by where it stands still.
    """

    async def waits(kept):
        await Once()
        return kept

    def generates(kept):
        yield 1
        yield kept

    async def streams(kept):
        yield 1
        yield kept

    class Once:
        def __await__(self):
            yield

    kept = Kept()
    coroutine, generator, stream = waits(kept), generates(kept), streams(kept)
    coroutine.send(None)
    next(generator)

    found = []
    for holder in (coroutine, generator, stream):
        namer, path = path_to(kept, holder)
        found.append(namer.site_on(path).line)
    coroutine.close()

    assert found == [
        waits.__code__.co_firstlineno + 1,
        generates.__code__.co_firstlineno + 1,
        streams.__code__.co_firstlineno,
    ]


def test_finished_coroutine_is_named_at_its_first_line():
    """
    Without a frame there is no line but the first.
    """

    async def waits():
        pass

    coroutine = waits()
    coroutine.close()
    walk = Walker([Root("shop", {"it": coroutine})], skip=hidden()).walk()
    namer = PathNamer(walk)

    site = namer.site_on(namer.path_to(index_of(walk, coroutine)))

    assert site.line == waits.__code__.co_firstlineno


def test_frame_locals_are_named_below_their_function():
    """
    The locals of a running function are roots as a module's globals are.
    """
    kept = Kept()

    walk = Walker([Root("shop.serve()", dict(sys._getframe().f_locals))], skip=hidden()).walk()
    path = PathNamer(walk).path_to(index_of(walk, kept), inclusive=True)

    assert path.lines == ("shop.serve().kept: Kept",)
