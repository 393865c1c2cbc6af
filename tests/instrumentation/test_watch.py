"""Listeners of any object that has a method to add and one to remove them."""

import gc
import weakref
from dataclasses import dataclass, field
from types import ModuleType

import pytest

from leakguard.exceptions import WatchError
from leakguard.instrumentation.watch import Watch


class Hub:
    """An emitter that the user has written."""

    def __init__(self):
        self.listeners = []

    def subscribe(self, *given, listener=None):
        self.listeners.append((*given, listener))

    def unsubscribe(self, *given):
        self.listeners.clear()


class TokenHub(Hub):
    """An emitter that gives something back for each listener."""

    def __init__(self, make):
        super().__init__()
        self._make = make

    def subscribe(self, *given):
        super().subscribe(*given)
        return self._make(self)


def listener():
    pass


def other():
    pass


def watch(watched, ledger):
    return Watch(watched, add="subscribe", remove="unsubscribe", ledger=ledger)


def totals(ledger):
    return {event: count for _, event, count in ledger.counts()}


@pytest.mark.parametrize(
    ("args", "kwargs", "event"),
    [
        pytest.param((listener,), {}, "*", id="listener"),
        pytest.param(("tick", listener), {}, "tick", id="event-and-listener"),
        pytest.param((3, listener), {}, "*", id="number-and-listener"),
        pytest.param(("tick",), {"listener": listener}, "tick", id="keyword"),
    ],
)
def test_listener_is_the_first_callable(ledger, args, kwargs, event):
    """
    The listener is found among the arguments, and a text before it is the event.
    """
    hub = Hub()
    watch(hub, ledger)

    hub.subscribe(*args, **kwargs)

    assert totals(ledger) == {event: 1}
    assert hub.listeners == [(*args, kwargs.get("listener"))]


def test_call_without_a_listener_is_passed_through(ledger):
    """
    Decorator factories and the like are called with no callable.
    """
    hub = Hub()
    watch(hub, ledger)

    hub.subscribe("tick")

    assert totals(ledger) == {}
    assert hub.listeners == [("tick", None)]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        pytest.param((listener,), {"tick": 1}, id="listener"),
        pytest.param(("tick", listener), {"tick": 1}, id="event-and-listener"),
        pytest.param((), {}, id="all"),
        pytest.param((len,), {"tick": 2}, id="another"),
    ],
)
def test_removed_listener_is_gone(ledger, given, left):
    """
    The listener, with or without its event, or all of them may be taken off.
    """
    hub = Hub()
    watch(hub, ledger)
    hub.subscribe("tick", listener)
    hub.subscribe("tick", other)

    hub.unsubscribe(*given)

    assert totals(ledger) == left


class Subscription:
    """What a subscription is ended by."""


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda hub: len(hub.listeners), id="number"),
        pytest.param(lambda hub: f"token {len(hub.listeners)}", id="text"),
        pytest.param(lambda hub: Subscription(), id="object"),
    ],
)
def test_token_takes_off_its_listener(ledger, make):
    """
    What `subscribe` returned ends that registration, and no other.
    """
    hub = TokenHub(make)
    watch(hub, ledger)
    tokens = [hub.subscribe("tick", each) for each in (listener, other)]
    before = totals(ledger)

    hub.unsubscribe(tokens[0])

    assert before == {"tick": 2}
    assert totals(ledger) == {"tick": 1}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda hub: None, id="nothing"),
        pytest.param(lambda hub: True, id="true"),
        pytest.param(lambda hub: hub, id="itself"),
        pytest.param(lambda hub: Subscription(), id="dropped-token"),
        pytest.param(lambda hub: 0, id="zero"),
    ],
)
def test_each_listener_counts_whatever_is_returned(ledger, make):
    """
    What is no token, or is dropped by the caller, does not make two listeners one.
    """
    hub, kept = TokenHub(make), [lambda: None for _ in range(5)]
    watch(hub, ledger)

    for each in kept:
        hub.subscribe("tick", each)

    assert totals(ledger) == {"tick": 5}


@pytest.mark.parametrize(
    "make", [pytest.param(lambda hub: True, id="true"), pytest.param(lambda hub: hub, id="itself")]
)
def test_listener_is_taken_off_by_itself_whatever_was_returned(ledger, make):
    """
    An emitter that returns something may still take the listener.
    """
    hub = TokenHub(make)
    watch(hub, ledger)
    hub.subscribe("tick", listener)

    hub.unsubscribe("tick", listener)

    assert totals(ledger) == {}


def test_decorator_returns_its_listener(ledger):
    """
    A method that is used as a decorator gives the listener back, which then ends it.
    """

    class Decorating(Hub):
        def subscribe(self, function):
            super().subscribe(function)
            return function

    hub = Decorating()
    watch(hub, ledger)

    @hub.subscribe
    def on_event():
        pass

    before = totals(ledger)
    hub.unsubscribe(on_event)

    assert before == {"*": 1}
    assert totals(ledger) == {}


def test_class_is_watched_for_all_its_instances(ledger):
    """
    Calls on any instance count; the listener is still the first callable, its event before it.
    """
    kind = type("Busy", (Hub,), {})
    seen = watch(kind, ledger)

    hub, second = kind(), kind()
    hub.subscribe("tick", listener)
    second.subscribe("tick", other)
    during = totals(ledger)
    hub.unsubscribe("tick", listener)

    assert during == {"tick": 2}
    assert totals(ledger) == {"tick": 1}
    seen.end()
    assert "subscribe" not in vars(kind)


def test_instance_that_is_callable_is_not_its_own_listener(ledger):
    """
    Of a watched class the object that a method is called on is no argument.
    """
    kind = type("Callable", (Hub,), {"__call__": lambda self: None})
    watch(kind, ledger)
    hub = kind()

    hub.subscribe("tick", listener)
    hub.subscribe("tick", other)

    assert sum(totals(ledger).values()) == 2


@pytest.mark.parametrize("descriptor", [classmethod, staticmethod])
def test_class_and_static_methods_can_be_called_on_an_instance(ledger, descriptor):
    """
    Watching a class does not change how its methods are called.
    """
    got = []

    def subscribe(*given):
        got.append(given[-1])

    kind = type(
        "Hub", (), {"subscribe": descriptor(subscribe), "unsubscribe": descriptor(subscribe)}
    )
    watch(kind, ledger)

    kind.subscribe(listener)
    kind().subscribe(listener)

    assert got == [listener, listener]


def test_module_is_watched(ledger):
    """
    A module with two functions is an emitter, too.
    """
    module, kept = ModuleType("bus"), []
    module.subscribe = kept.append
    module.unsubscribe = kept.remove
    seen = watch(module, ledger)

    module.subscribe(listener)
    during = totals(ledger)
    module.unsubscribe(listener)
    seen.end()

    assert during == {"*": 1}
    assert totals(ledger) == {}
    assert kept == []
    assert module.subscribe == kept.append


def test_methods_are_put_back_at_the_end(ledger):
    """
    The object is exactly as before, and ending twice is harmless.
    """
    hub = Hub()
    before = dict(vars(hub))

    seen = watch(hub, ledger)
    seen.end()
    seen.end()
    hub.subscribe(listener)

    assert dict(vars(hub)) == before
    assert totals(ledger) == {}


def test_errors_of_the_emitter_pass_through(ledger):
    """
    An emitter that refuses has registered nothing.
    """

    class Full(Hub):
        def subscribe(self, given):
            raise OverflowError("full")

        def unsubscribe(self, given):
            raise KeyError("unknown")

    hub = Full()
    watch(hub, ledger)

    with pytest.raises(OverflowError, match="full"):
        hub.subscribe(listener)
    with pytest.raises(KeyError, match="unknown"):
        hub.unsubscribe(listener)

    assert totals(ledger) == {}


def test_watched_object_is_not_kept(ledger):
    """
    Its registrations end with it.
    """
    hub = Hub()
    kept = watch(hub, ledger)
    hub.subscribe("tick", listener)
    seen = weakref.ref(hub)

    del hub
    gc.collect()

    assert seen() is None
    assert totals(ledger) == {}
    assert kept.end() is None


class Slotted:
    __slots__ = ("__weakref__",)

    def subscribe(self, given):
        pass

    def unsubscribe(self, given):
        pass


class NoWeakReferences(Slotted.__base__):
    __slots__ = ()
    subscribe = Slotted.subscribe
    unsubscribe = Slotted.unsubscribe


@dataclass(frozen=True)
class Frozen:
    listeners: list = field(default_factory=list)

    def subscribe(self, given):
        pass

    def unsubscribe(self, given):
        pass


class Half:
    def subscribe(self, given):
        pass

    unsubscribe = 3


class HalfPatched(Hub):
    """An object that lets one of its methods be replaced, and not the other."""

    def __setattr__(self, name, value):
        if name == "unsubscribe":
            raise AttributeError(name)
        super().__setattr__(name, value)


@pytest.mark.parametrize(
    ("watched", "text"),
    [
        pytest.param(object(), "a method named 'subscribe', object has none", id="no-methods"),
        pytest.param(Half(), "a method named 'unsubscribe', Half has none", id="no-callable"),
        pytest.param(Slotted(), "Slotted cannot: watch its class instead", id="no-dict"),
        pytest.param(
            NoWeakReferences(), "NoWeakReferences cannot: watch its class", id="no-weak-references"
        ),
        pytest.param(Frozen(), "Frozen cannot: watch its class instead", id="frozen"),
        pytest.param(HalfPatched(), "HalfPatched cannot: watch its class", id="half-patched"),
    ],
)
def test_object_that_cannot_be_watched_is_refused(ledger, watched, text):
    """
    The error says what is needed, and what was given; nothing stays replaced.
    """
    before = dict(getattr(watched, "__dict__", {}))

    with pytest.raises(WatchError) as caught:
        watch(watched, ledger)

    assert text in str(caught.value)
    assert dict(getattr(watched, "__dict__", {})) == before
    assert isinstance(caught.value, TypeError)


def test_built_in_class_is_refused_by_its_own_name(ledger):
    """
    Told to watch its class instead of a class, nobody knows what to do.
    """
    with pytest.raises(WatchError) as caught:
        Watch(list, add="append", remove="remove", ledger=ledger)

    assert "list" in str(caught.value)
    assert "type cannot" not in str(caught.value)
