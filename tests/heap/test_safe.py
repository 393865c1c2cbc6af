"""Looking at objects without running their code."""

import asyncio
import functools
from types import ModuleType, SimpleNamespace

import pytest

from leakguard.heap.safe import (
    derives_from,
    dotted_type_name,
    instance_dict,
    is_code,
    is_module,
    key_holding,
    label,
    member_holding,
    mro_of,
    namespace_of,
    type_module,
    type_name,
)


class Shop:
    def buy(self):
        pass


class Slotted:
    __slots__ = ("empty", "kept")


async def coroutine():
    pass


def generator():
    yield


async def stream():
    yield


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("hush", "str", id="text"),
        pytest.param(Shop(), "Shop", id="instance"),
        pytest.param(Shop, "class Shop", id="class"),
        pytest.param(Shop.buy, "function Shop.buy", id="function"),
        pytest.param(Shop().buy, "method Shop.buy", id="method"),
        pytest.param(print, "builtin print", id="builtin"),
        pytest.param(generator(), "generator generator", id="generator"),
        pytest.param(stream(), "async generator stream", id="async-generator"),
        pytest.param(functools.partial(print), "partial", id="partial"),
        pytest.param(SimpleNamespace(hush=1), "SimpleNamespace", id="other"),
    ],
)
def test_label_is_the_type_or_the_name_of_code(value, expected):
    """
    Objects are named by type, code by its name, contents never.
    """
    assert label(value) == expected


def test_coroutine_is_labelled_by_its_function():
    """
    A coroutine has the name of its function.
    """
    waiting = coroutine()

    name = label(waiting)
    waiting.close()

    assert name == "coroutine coroutine"


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        pytest.param(Shop.buy, "TimerHandle of function Shop.buy", id="function"),
        pytest.param(Shop().buy, "TimerHandle of method Shop.buy", id="method"),
        pytest.param(print, "TimerHandle of builtin print", id="builtin"),
        pytest.param(functools.partial(print), "TimerHandle", id="other"),
    ],
)
def test_timer_is_labelled_by_what_it_calls(callback, expected):
    """
    Timers are told apart by the name of their callback, where it has one.
    """
    loop = asyncio.new_event_loop()
    handle = loop.call_later(3600, callback)

    name = label(handle)
    handle.cancel()
    cancelled = label(handle)
    loop.close()

    assert name == expected
    assert cancelled == "TimerHandle"


def test_method_of_something_else_is_labelled_by_its_type():
    """
    A bound callable that is no function has no name of its own.
    """
    bound = type(Shop().buy)(functools.partial(print), Shop())

    assert label(bound) == "method"


def test_types_are_named_with_their_module():
    """
    Built-in types have no module, others have, and one that lies is taken as built in.
    """
    nameless = type("Nameless", (), {"__module__": 3})

    assert dotted_type_name(dict) == "dict"
    assert dotted_type_name(Shop) == f"{__name__}.Shop"
    assert type_module(nameless) == "builtins"
    assert type_name(nameless) == "Nameless"


def test_classes_are_read_as_they_are():
    """
    Bases and attributes of a class come from the class itself.
    """
    assert mro_of(bool) == (bool, int, object)
    assert namespace_of(Shop)["buy"] is Shop.buy
    assert derives_from(bool, int)
    assert not derives_from(int, bool)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Shop, True, id="class"),
        pytest.param(Shop.buy, True, id="function"),
        pytest.param(Shop().buy, True, id="method"),
        pytest.param(asyncio, True, id="module"),
        pytest.param(Shop(), False, id="instance"),
        pytest.param({}, False, id="dict"),
    ],
)
def test_code_is_told_from_data(value, expected):
    """
    Functions, methods, classes and modules are code.
    """
    assert is_code(value) is expected


def test_module_is_told_by_its_type():
    """
    A module of a class of its own is a module.
    """
    lazy = type("Lazy", (ModuleType,), {})("lazy")

    assert is_module(lazy)
    assert not is_module(SimpleNamespace(__name__="lazy"))


def test_instance_dict_is_the_true_one():
    """
    An attribute or property named `__dict__` is not taken for it.
    """
    plain = Shop()
    plain.hub = 1
    liar = type("Liar", (), {"__slots__": (), "__dict__": property(lambda self: {"a": 1})})()
    shadowing = type("Shadowing", (Shop,), {"__dict__": property(lambda self: {"a": 1})})()
    shadowing.hub = 2

    assert instance_dict(plain) is vars(plain)
    assert instance_dict(liar) is None
    assert instance_dict(Slotted()) is None
    assert instance_dict(Shop) is None
    assert instance_dict(shadowing) == {"hub": 2}


def test_descriptor_of_another_class_is_passed_by():
    """
    A `__dict__` descriptor that was taken from another class does not fit, and fails quietly.
    """
    borrowed = vars(Shop)["__dict__"]
    value = type("Borrower", (), {"__slots__": (), "__dict__": borrowed})()

    assert instance_dict(value) is None


def test_slot_is_found_by_what_it_holds():
    """
    An empty slot is passed by, as is one that holds something else.
    """
    value, kept = Slotted(), Shop()
    value.kept = kept

    assert member_holding(value, kept) == "kept"
    assert member_holding(value, Shop()) is None


def test_only_text_keys_name_what_they_hold():
    """
    Keys of other types are no attributes.
    """
    kept = Shop()

    assert key_holding({3: kept, "kept": kept}, kept) == "kept"
    assert key_holding({3: kept}, kept) is None
