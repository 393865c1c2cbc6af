"""Names of references, as a developer would type them."""

import asyncio
import contextvars
import functools
import sys
from collections import ChainMap, OrderedDict, UserDict, defaultdict, deque, namedtuple
from types import CellType, MappingProxyType
from weakref import WeakKeyDictionary

import pytest

from leakguard.heap.edge import Step, edge_at

from .names import lines_to


class Kept:
    def method(self):
        pass


class Plain:
    pass


class Slotted:
    __slots__ = ("empty", "kept")


class SlottedChild(Slotted):
    __slots__ = ()


class Mapping(dict):
    pass


class Listing(list):
    pass


Pair = namedtuple("Pair", "left right")


def with_attribute(owner, kept):
    owner.kept = kept
    return owner


def with_dict(owner, kept):
    """Return an owner whose `__dict__` has been asked for, so that it exists."""
    owner.kept = kept
    assert vars(owner) == {"kept": kept}
    return owner


def cached(kept, maxsize):
    @functools.lru_cache(maxsize=maxsize)
    def look_up(value):
        return 1

    look_up(kept)
    return look_up


def local(kept):
    thread_local = __import__("threading").local()
    thread_local.kept = kept
    return thread_local


def in_context(kept):
    context = contextvars.Context()
    context.run(contextvars.ContextVar("kept").set, kept)
    return context


def keyed_weakly(kept):
    return WeakKeyDictionary({Plain: kept})


CASES = {
    "module attribute": (lambda kept: kept, ("shop.it: Kept",)),
    "class attribute": (
        lambda kept: type("Hub", (), {"kept": kept}),
        ("shop.it: class Hub", ".kept: Kept"),
    ),
    "instance attribute": (
        lambda kept: with_attribute(Plain(), kept),
        ("shop.it: Plain", ".kept: Kept"),
    ),
    "instance dict": (lambda kept: with_dict(Plain(), kept), ("shop.it: Plain", ".kept: Kept")),
    "slot": (lambda kept: with_attribute(Slotted(), kept), ("shop.it: Slotted", ".kept: Kept")),
    "inherited slot": (
        lambda kept: with_attribute(SlottedChild(), kept),
        ("shop.it: SlottedChild", ".kept: Kept"),
    ),
    "dict value": (lambda kept: {"secret": kept}, ("shop.it: dict", "[*]: Kept")),
    "dict key": (lambda kept: {kept: 1}, ("shop.it: dict", "[*]: Kept")),
    "nested dict": (lambda kept: {"a": {1: kept}}, ("shop.it: dict", "[*]: dict", "[*]: Kept")),
    "list": (lambda kept: [kept], ("shop.it: list", "[*]: Kept")),
    "tuple": (lambda kept: (kept,), ("shop.it: tuple", "[*]: Kept")),
    "set": (lambda kept: {kept}, ("shop.it: set", "[*]: Kept")),
    "frozenset": (lambda kept: frozenset([kept]), ("shop.it: frozenset", "[*]: Kept")),
    "deque": (lambda kept: deque([kept]), ("shop.it: deque", "[*]: Kept")),
    "OrderedDict": (lambda kept: OrderedDict(a=kept), ("shop.it: OrderedDict", "[*]: Kept")),
    "defaultdict": (lambda kept: defaultdict(int, a=kept), ("shop.it: defaultdict", "[*]: Kept")),
    "dict subclass": (lambda kept: Mapping(a=kept), ("shop.it: Mapping", "[*]: Kept")),
    "dict subclass's attribute": (
        lambda kept: with_attribute(Mapping(), kept),
        ("shop.it: Mapping", ".kept: Kept"),
    ),
    "list subclass's attribute": (
        lambda kept: with_attribute(Listing(), kept),
        ("shop.it: Listing", ".kept: Kept"),
    ),
    "namedtuple": (lambda kept: Pair(1, kept), ("shop.it: Pair", "[*]: Kept")),
    "ChainMap": (
        lambda kept: ChainMap({"a": kept}),
        ("shop.it: ChainMap", ".maps: list", "[*]: dict", "[*]: Kept"),
    ),
    "UserDict": (
        lambda kept: UserDict(a=kept),
        ("shop.it: UserDict", ".data: dict", "[*]: Kept"),
    ),
    "mapping proxy": (
        lambda kept: MappingProxyType({"a": kept}),
        ("shop.it: mappingproxy", "[*]: dict", "[*]: Kept"),
    ),
    "weak keys": (
        keyed_weakly,
        ("shop.it: WeakKeyDictionary", ".data: dict", "[*]: Kept"),
    ),
    "cache": (
        lambda kept: cached(kept, None),
        ("shop.it: _lru_cache_wrapper", "[*]: dict", "[*]: tuple", "[*]: Kept"),
    ),
    "lru cache": (
        lambda kept: cached(kept, 3),
        ("shop.it: _lru_cache_wrapper", "[*]: tuple", "[*]: Kept"),
    ),
    "partial": (
        lambda kept: functools.partial(print, kept),
        ("shop.it: partial", ".args: tuple", "[*]: Kept"),
    ),
    "partial's keyword": (
        lambda kept: functools.partial(print, end=kept),
        ("shop.it: partial", ".keywords: dict", "[*]: Kept"),
    ),
    "bound method": (
        lambda kept: kept.method,
        ("shop.it: method Kept.method", ".__self__: Kept"),
    ),
    "context": (in_context, ("shop.it: Context", "[*]: Kept")),
    "exception": (lambda kept: KeyError(kept), ("shop.it: KeyError", "[*]: tuple", "[*]: Kept")),
    "thread local": (local, ("shop.it: _local", "[*]: dict", "[*]: dict", "[*]: Kept")),
}


@pytest.mark.parametrize(("build", "expected"), CASES.values(), ids=CASES)
def test_reference_is_named_as_it_is_typed(build, expected):
    """
    Attributes have their names, indices and keys are collapsed.
    """
    kept = Kept()
    holder = build(kept)

    lines = lines_to(kept, holder)

    assert lines == expected


def test_hamt_nodes_of_a_large_context_are_left_out():
    """
    A context with many variables is a tree inside, which the path does not show.
    """
    kept, context = Kept(), contextvars.Context()
    variables = [contextvars.ContextVar(str(number)) for number in range(100)]
    for number, variable in enumerate(variables):
        context.run(variable.set, number)
    context.run(variables[57].set, kept)

    lines = lines_to(kept, context)

    assert lines == ("shop.it: Context", "[*]: Kept")


def test_closure_variable_has_its_name():
    """
    The cells of a closure are left out, the variable is named.
    """
    kept = Kept()
    other = 1

    def callback():
        return other, kept

    lines = lines_to(kept, callback)

    assert lines == (
        f"shop.it: function {callback.__qualname__}",
        ".<closure kept>: Kept",
    )


def test_cell_without_its_function_is_still_a_closure():
    """
    Where the function is not on the path, the variable's name is not known.
    """
    kept = Kept()

    lines = lines_to(kept, [CellType(kept)])

    assert lines == ("shop.it: list", ".<closure>: Kept")


def test_cell_that_is_not_the_functions_own_has_no_name():
    """
    A closure that does not have the cell cannot name it.
    """
    kept, stranger = Kept(), CellType(1)

    def callback():
        return kept

    step = edge_at([callback, callback.__closure__, stranger], kept)

    assert step == Step(".<closure>", "Kept")


async def waits_with(kept):
    await asyncio.sleep(3600)
    return kept


def generates_with(kept):
    yield 1
    yield kept


async def streams_with(kept):
    yield kept
    yield kept


def test_local_of_a_coroutine_has_its_name():
    """
    What a suspended coroutine holds is named by its local variable.
    """
    kept = Kept()
    coroutine = waits_with(kept)

    lines = lines_to(kept, coroutine)
    coroutine.close()

    assert lines == ("shop.it: coroutine waits_with", ".kept: Kept")


def test_local_of_a_generator_has_its_name():
    """
    What a suspended generator holds is named by its local variable.
    """
    kept = Kept()
    generator = generates_with(kept)
    next(generator)

    lines = lines_to(kept, generator)

    assert lines == ("shop.it: generator generates_with", ".kept: Kept")


def test_local_of_an_async_generator_has_its_name():
    """
    What a suspended async generator holds is named by its local variable.
    """
    kept = Kept()

    async def look():
        stream = streams_with(kept)
        await anext(stream)
        found = lines_to(kept, stream)
        await stream.aclose()
        return found

    lines = asyncio.run(look())

    assert lines == ("shop.it: async generator streams_with", ".kept: Kept")


def test_finished_coroutine_has_no_locals():
    """
    A coroutine without a frame still names what it leads to.
    """
    coroutine = waits_with(1)
    coroutine.close()

    step = edge_at([coroutine], "x")

    assert step == Step("[*]", "str")


def test_local_of_a_frame_has_its_name():
    """
    A frame that somebody keeps, as a traceback does, names its locals.
    """

    def framed(kept):
        return sys._getframe()

    kept = Kept()

    lines = lines_to(kept, framed(kept))

    assert lines == ("shop.it: frame", ".kept: Kept")


def test_task_leads_to_its_coroutine():
    """
    A task's path goes through its coroutine to the local variable.
    """
    kept = Kept()

    async def look():
        task = asyncio.create_task(waits_with(kept))
        await asyncio.sleep(0)
        found = lines_to(kept, task)
        task.cancel()
        return found

    lines = asyncio.run(look())

    assert lines == ("shop.it: Task", "[*]: coroutine waits_with", ".kept: Kept")


def test_timer_handle_leads_to_its_arguments():
    """
    A timer's path goes through the loop's list to the arguments.
    """
    kept = Kept()

    async def look():
        loop = asyncio.get_running_loop()
        handle = loop.call_later(3600, print, kept)
        found = lines_to(kept, [handle]), lines_to(kept, loop)
        handle.cancel()
        return found

    handle_lines, loop_lines = asyncio.run(look())

    assert handle_lines == (
        "shop.it: list",
        "[*]: TimerHandle of builtin print",
        "._args: tuple",
        "[*]: Kept",
    )
    assert loop_lines[1:] == ("._scheduled: list", *handle_lines[1:])


def test_step_reads_as_edge_and_type():
    """
    A step prints as the reference and what it leads to.
    """
    assert str(Step(".hub", "Hub")) == ".hub: Hub"
