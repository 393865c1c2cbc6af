"""Objects that would run code, fail or lie when they are looked at the usual way."""

import gc

import pytest

from leakguard.heap.census import census
from leakguard.heap.examiner import Examiner, Question
from leakguard.heap.holders import Target, find_holders
from leakguard.heap.roots import hidden, module_roots
from leakguard.heap.walk import Root, Walker

from .names import lines_to

RAN = []


def trap(name):
    def run(self, *args, **kwargs):
        RAN.append(name)
        raise RuntimeError(name)

    return run


TRAPS = {
    name: trap(name)
    for name in (
        "__eq__", "__ne__", "__repr__", "__str__", "__format__", "__len__", "__bool__", "__iter__",
        "__getattr__", "__sizeof__", "__reduce_ex__", "__dir__", "__call__", "__contains__",
        "__getitem__", "__instancecheck__", "__subclasscheck__", "__get__",
    )
}  # fmt: skip


class HostileMeta(type):
    """A metaclass that runs code at every look."""

    locals().update(TRAPS)

    def __hash__(cls):
        RAN.append("__hash__")
        raise RuntimeError("__hash__")

    def __getattribute__(cls, name):
        RAN.append(f"meta {name}")
        raise RuntimeError(name)


def build_hostile_class():
    def __getattribute__(self, name):
        RAN.append(name)
        raise RuntimeError(name)

    def __class__(self):
        RAN.append("__class__")
        return dict

    return type.__new__(
        HostileMeta,
        "Hostile",
        (),
        {
            **TRAPS,
            "__hash__": trap("__hash__"),
            "__getattribute__": __getattribute__,
            "__class__": property(__class__),
        },
    )


@pytest.fixture
def hostile():
    """Return an instance whose every special method, and its class's, leaves a trace."""
    kind = build_hostile_class()
    value = object.__new__(kind)
    RAN.clear()
    yield value
    RAN.clear()


class Kept:
    pass


class Proxy:
    """A stand-in for what is current, as werkzeug's LocalProxy is: it lies about its class."""

    __slots__ = ("__dict__", "_target")

    def __init__(self, target):
        object.__setattr__(self, "_target", target)

    @property
    def __class__(self):
        RAN.append("__class__")
        return type(self._target())

    def __getattr__(self, name):
        RAN.append(name)
        raise RuntimeError("working outside of request context")


def test_naming_runs_no_code_of_a_hostile_object(hostile):
    """
    A path through an object whose every method is a trap springs none of them.
    """
    kept = Kept()
    object.__getattribute__(hostile, "__dict__")["kept"] = kept

    lines = lines_to(kept, [hostile])

    assert lines == ("shop.it: list", "[*]: Hostile", ".kept: Kept")
    assert RAN == []


def test_naming_runs_no_code_of_a_hostile_class(hostile):
    """
    A path through a class springs none of its metaclass's traps.
    """
    kept, kind = Kept(), type(hostile)
    type.__setattr__(kind, "kept", kept)

    lines = lines_to(kept, kind)

    assert lines == ("shop.it: class Hostile", ".kept: Kept")
    assert RAN == []


def test_inline_walk_runs_no_code_of_the_service(hostile, shop):
    """
    A whole inline walk, holders and census included, springs no trap.
    """
    kept = Kept()
    object.__getattribute__(hostile, "__dict__")["kept"] = kept
    shop.hostile = [hostile, type(hostile)]
    shop.table = {"hostile": hostile}
    examiner = Examiner(mode="inline", deadline_s=60, inline_budget_s=60, headroom=lambda: None)
    RAN.clear()

    seen = examiner.examine(Question(targets=[Target(1, (kept,))], emitters=[hostile], census=True))

    assert RAN == []
    assert [group.holder for group in seen.groups] == ["shop.hostile"]
    assert seen.emitter_names == ("shop.hostile",)
    assert any(row.type.endswith("Hostile") and row.count == 1 for row in seen.types)


def test_hostile_keys_of_a_dict_are_not_compared(hostile):
    """
    A key whose hash and comparison fail is passed by.
    """
    kept = Kept()

    class Key:
        def __hash__(self):
            return hash("kept")

        def __eq__(self, other):
            RAN.append("__eq__")
            return False

    owner = Kept()
    vars(owner)[Key()] = 1
    vars(owner)["kept"] = kept
    RAN.clear()

    lines = lines_to(kept, owner)

    assert lines == ("shop.it: Kept", ".kept: Kept")
    assert RAN == []


def test_names_that_are_texts_of_their_own_kind_run_no_code():
    """
    A function or class may be named by a subclass of `str`; printing that runs its code.
    """

    class Name(str):
        __slots__ = ()

        def __format__(self, spec):
            RAN.append("__format__")
            return "spam"

        def __str__(self):
            RAN.append("__str__")
            return "spam"

    def function():
        return kept

    kept = Kept()
    function.__qualname__ = Name("shop_function")
    hub = type("Hub", (), {"function": function})
    hub.__qualname__ = Name("Hub")
    RAN.clear()

    lines = lines_to(kept, [hub])

    assert RAN == []
    assert lines[-1] == ".<closure kept>: Kept"


def test_proxy_is_named_by_its_true_type():
    """
    An object that lies about its class is named by the class that it has.
    """
    kept = Kept()
    proxy = Proxy(lambda: kept)
    RAN.clear()

    lines = lines_to(kept, proxy)

    assert lines[:2] == (
        "shop.it: Proxy",
        "._target: function test_proxy_is_named_by_its_true_type.<locals>.<lambda>",
    )
    assert RAN == []


def test_module_of_a_class_of_its_own_is_read_without_its_code(monkeypatch):
    """
    Lazy modules load things when an attribute is asked for: theirs are not.
    """
    import sys
    from types import ModuleType

    class Lazy(ModuleType):
        def __getattribute__(self, name):
            RAN.append(name)
            raise RuntimeError(name)

    lazy = Lazy("lazy_shop")
    ModuleType.__getattribute__(lazy, "__dict__")["it"] = kept = Kept()
    monkeypatch.setitem(sys.modules, "lazy_shop", lazy)
    RAN.clear()

    root = next(root for root in module_roots() if root.name == "lazy_shop")

    assert root.value["it"] is kept
    assert RAN == []


def test_objects_that_fail_when_sized_are_counted(hostile):
    """
    The census in the child goes on where `__sizeof__` raises, and says what it could not size.
    """

    class Unsized:
        def __sizeof__(self):
            raise RuntimeError("no size")

    rows = census([1, Unsized(), [1], Unsized()])

    counted = {name: count for name, count, _ in rows}
    assert counted == {"int": 1, "list": 1, "(could not be sized)": 2}


def test_no_finalizer_runs_during_a_walk():
    """
    Garbage that waits for the collector is still garbage after a walk.
    """

    class Dying:
        def __init__(self):
            self.me = self

        def __del__(self):
            RAN.append("__del__")

    gc.collect()
    gc.disable()
    RAN.clear()
    Dying()

    walker = Walker([Root("shop", {"it": [1]})], skip=hidden())
    find_holders(walker, walker.walk(), [], [], sized=True)

    assert RAN == []
    gc.collect()
    assert RAN == ["__del__"]
