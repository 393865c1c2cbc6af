"""Listeners of pyee's event emitters."""

import asyncio
import inspect

import pytest
from pyee.asyncio import AsyncIOEventEmitter
from pyee.base import EventEmitter

from leakguard.instrumentation.ledger import Ledger
from leakguard.instrumentation.pyee import INSTRUMENTOR


@pytest.fixture
def followed(ledger):
    """Return a ledger that is told of pyee's listeners."""
    INSTRUMENTOR.instrument(ledger)
    yield ledger
    INSTRUMENTOR.uninstrument(ledger)


def totals(ledger):
    return {event: count for _, event, count in ledger.counts()}


def listener(*args):
    pass


REGISTER = {
    "on": lambda emitter: emitter.on("tick", listener),
    "on as decorator": lambda emitter: emitter.on("tick")(listener),
    "add_listener": lambda emitter: emitter.add_listener("tick", listener),
    "listens_to": lambda emitter: emitter.listens_to("tick")(listener),
    "once": lambda emitter: emitter.once("tick", listener),
    "once as decorator": lambda emitter: emitter.once("tick")(listener),
}


@pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
def test_every_way_to_register_is_followed(followed, register):
    """
    Whatever the method, the listener counts, and is taken off by its own name.
    """
    emitter = EventEmitter()

    register(emitter)
    before = totals(followed)
    emitter.remove_listener("tick", listener)

    assert before == {"tick": 1}
    assert totals(followed) == {}
    assert emitter.listeners("tick") == []


def test_once_is_over_after_the_event(followed):
    """
    A listener for one event takes itself off.
    """
    emitter, got = EventEmitter(), []
    emitter.once("tick", got.append)
    before = totals(followed)

    emitter.emit("tick", 1)
    emitter.emit("tick", 2)

    assert before == {"tick": 1}
    assert got == [1]
    assert totals(followed) == {}


@pytest.mark.parametrize(
    ("args", "kwargs", "left"),
    [
        pytest.param(("tick",), {}, {"tock": 1}, id="event"),
        pytest.param((), {"event": "tick"}, {"tock": 1}, id="keyword"),
        pytest.param((), {}, {}, id="all"),
    ],
)
def test_cleared_emitter_has_no_listeners(followed, args, kwargs, left):
    """
    All listeners of one event, or of the emitter, go at once.
    """
    emitter = EventEmitter()
    for event in ("tick", "tock"):
        emitter.on(event, listener)

    emitter.remove_all_listeners(*args, **kwargs)

    assert totals(followed) == left
    assert len(emitter.listeners("tick")) == 0


def test_emitters_for_asyncio_are_followed(followed):
    """
    The base class's methods are those of all emitters.
    """

    async def serve():
        emitter, got = AsyncIOEventEmitter(), []

        async def on_event(value):
            got.append(value)

        emitter.on("tick", on_event)
        emitter.emit("tick", 5)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = totals(followed)
        emitter.remove_listener("tick", on_event)
        return got, before

    got, before = asyncio.run(serve())

    assert got == [5]
    assert before == {"tick": 1}
    assert totals(followed) == {}


def test_line_of_the_service_is_named(followed, request_to):
    """
    The call site is where the service calls pyee, the code that of the listener.
    """
    emitter = EventEmitter()

    with request_to("/a").under_way():
        emitter.once("tick", listener)

    (group,) = followed.groups()
    assert (group.site.file, group.site.function) == (
        __file__,
        "test_line_of_the_service_is_named",
    )
    assert (group.listener, group.emitter) == ("listener", "EventEmitter")


def test_emitter_behaves_as_before(followed):
    """
    Listeners are called in their order, results and errors are pyee's own.
    """
    emitter, got = EventEmitter(), []

    returned = emitter.on("tick", got.append)
    emitter.on("tick", lambda value: got.append(value * 2))
    handled = emitter.emit("tick", 3)

    assert returned == got.append
    assert handled
    assert got == [3, 6]
    with pytest.raises(ZeroDivisionError):
        emitter.emit("error", ZeroDivisionError())
    assert totals(followed) == {"tick": 2}


METHODS = ["_add_event_handler", "_remove_listener", "remove_all_listeners"]


@pytest.mark.parametrize("name", METHODS)
def test_replaced_methods_look_like_the_originals(ledger, name):
    """
    Signature, documentation and name are kept.
    """
    before = getattr(EventEmitter, name)
    seen = inspect.signature(before), before.__doc__, before.__qualname__

    INSTRUMENTOR.instrument(ledger)
    during = getattr(EventEmitter, name)

    assert during is not before
    assert (inspect.signature(during), during.__doc__, during.__qualname__) == seen


def test_class_is_exactly_as_before_at_the_end(ledger):
    """
    Nothing of leakguard's is left in pyee.
    """
    before = dict(vars(EventEmitter))

    INSTRUMENTOR.instrument(ledger)
    INSTRUMENTOR.uninstrument(ledger)
    INSTRUMENTOR.uninstrument(ledger)
    EventEmitter().on("tick", listener)

    assert dict(vars(EventEmitter)) == before
    assert totals(ledger) == {}


def test_two_ledgers_are_told(followed, faults):
    """
    Two guards in one process both know of a listener, and one may leave.
    """
    second = Ledger(owner=None, max_registrations=9, max_listeners=9, faults=faults)
    emitter = EventEmitter()
    INSTRUMENTOR.instrument(second)
    emitter.on("tick", listener)

    INSTRUMENTOR.uninstrument(second)
    emitter.on("tock", listener)

    assert totals(followed) == {"tick": 1, "tock": 1}
    assert totals(second) == {"tick": 1}
