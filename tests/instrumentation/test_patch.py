"""Functions put in the place of others, and put back."""

import gc
import inspect
import weakref

import pytest

from leakguard.instrumentation.ledger import Ledger
from leakguard.instrumentation.patch import Instrumentor, Patch


class Hub:
    def subscribe(self, listener: object, *, once: bool = False) -> str:
        """Add a listener."""
        return f"{listener} {once}"

    @staticmethod
    def plain(value):
        return value


def doubling(original):
    def replacement(*args, **kwargs):
        return original(*args, **kwargs) * 2

    return replacement


def test_replacement_looks_like_the_original():
    """
    Name, documentation and signature are those of what was replaced.
    """
    hub, patch = Hub(), Patch()
    original = inspect.signature(hub.subscribe)

    patch.replace(hub, "subscribe", doubling)

    assert hub.subscribe("a") == "a Falsea False"
    assert hub.subscribe.__doc__ == "Add a listener."
    assert hub.subscribe.__qualname__ == "Hub.subscribe"
    assert inspect.signature(hub.subscribe) == original


@pytest.mark.parametrize("owner", [Hub(), Hub], ids=["instance", "class"])
def test_restored_owner_is_exactly_as_before(owner):
    """
    Its attributes are the same objects again, and restoring twice is harmless.
    """
    before, patch = dict(vars(owner)), Patch()

    patch.replace(owner, "subscribe", doubling)
    during = dict(vars(owner))
    patch.restore()
    patch.restore()

    assert during != before
    assert dict(vars(owner)) == before


def test_inherited_method_is_uncovered_again():
    """
    What a class has from its base is not written to it for good.
    """
    child, patch = type("Child", (Hub,), {}), Patch()

    patch.replace(child, "subscribe", doubling)
    patch.restore()

    assert "subscribe" not in vars(child)
    assert child().subscribe("a") == "a False"


def test_static_method_is_put_back_as_one():
    """
    The descriptor comes back, not the function that it gives.
    """
    patch = Patch()
    before = vars(Hub)["plain"]

    patch.replace(Hub, "plain", doubling)
    patch.restore()

    assert vars(Hub)["plain"] is before


def test_replacement_that_somebody_has_wrapped_stays():
    """
    What was put on top meanwhile must not be torn off.
    """
    hub, patch, other = Hub(), Patch(), Patch()
    patch.replace(hub, "subscribe", doubling)
    other.replace(hub, "subscribe", doubling)
    wrapped = hub.subscribe

    patch.restore()

    assert hub.subscribe is wrapped


def test_replacement_that_somebody_has_removed_stays_away():
    """
    A patched attribute that is deleted meanwhile is not put back, and is no error.
    """
    hub, patch = Hub(), Patch()
    patch.replace(hub, "subscribe", doubling)
    del hub.subscribe
    gc.collect()

    patch.restore()

    assert "subscribe" not in vars(hub)


def test_owner_is_not_kept():
    """
    Watching an object does not keep it, nor what is restored after its death.
    """
    hub, patch = Hub(), Patch()
    seen = weakref.ref(hub)
    patch.replace(hub, "subscribe", doubling)

    del hub
    gc.collect()

    assert seen() is None
    assert patch.restore() is None


class Counting(Instrumentor):
    """An instrumentor that counts how often it replaces."""

    library = "hub"

    def __init__(self):
        super().__init__()
        self.replaced = 0

    def _patch(self, patches):
        self.replaced += 1
        patches.replace(Hub, "subscribe", doubling)


def test_first_ledger_replaces_and_the_last_restores(faults):
    """
    Two guards share one replacement; attaching and detaching twice is harmless.
    """
    instrumentor = Counting()
    first, second = (
        Ledger(owner=None, max_registrations=9, max_listeners=9, faults=faults) for _ in range(2)
    )
    before = vars(Hub)["subscribe"]

    for ledger in (first, second, first):
        instrumentor.instrument(ledger)
    attached = instrumentor.ledgers
    instrumentor.uninstrument(first)
    instrumentor.uninstrument(first)
    between = vars(Hub)["subscribe"]
    instrumentor.uninstrument(second)

    assert attached == (first, second)
    assert instrumentor.replaced == 1
    assert between is not before
    assert vars(Hub)["subscribe"] is before


def test_instrumentor_must_say_what_it_replaces(faults):
    """
    The base class alone follows nothing.
    """
    ledger = Ledger(owner=None, max_registrations=9, max_listeners=9, faults=faults)

    with pytest.raises(NotImplementedError):
        Instrumentor().instrument(ledger)
