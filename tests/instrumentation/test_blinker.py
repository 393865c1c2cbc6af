"""Receivers of blinker's signals."""

import gc
import inspect

import pytest
from blinker import Namespace, Signal

from leakguard.instrumentation.blinker import INSTRUMENTOR
from leakguard.instrumentation.ledger import Ledger


@pytest.fixture
def followed(ledger):
    """Return a ledger that is told of blinker's receivers."""
    INSTRUMENTOR.instrument(ledger)
    yield ledger
    INSTRUMENTOR.uninstrument(ledger)


@pytest.fixture
def signal():
    return Namespace().signal("tick")


class Receiver:
    def on_event(self, sender, **more):
        pass


class Sender:
    pass


def receive(sender, **more):
    return sender


def totals(ledger):
    return {event: count for _, event, count in ledger.counts()}


def test_receiver_is_followed(followed, signal):
    """
    A receiver counts for its signal, by the signal's name.
    """
    signal.connect(receive)
    before = totals(followed)
    signal.disconnect(receive)

    assert before == {"tick": 1}
    assert totals(followed) == {}


def test_signal_without_a_name_is_followed(followed):
    """
    An anonymous signal has no event to show.
    """
    signal = Signal()

    signal.connect(receive)

    assert followed.counts() == [("Signal", "*", 1)]


def test_decorators_and_context_managers_are_followed(followed, signal):
    """
    What is built on `connect` and `disconnect` counts as they do.
    """
    signal.connect_via("somebody")(receive)
    via = totals(followed)
    signal.disconnect(receive)
    with signal.connected_to(receive):
        during = totals(followed)

    assert via == during == {"tick": 1}
    assert totals(followed) == {}


def test_weak_receiver_leaves_by_itself(followed, signal):
    """
    A signal does not keep its receivers unless told to.
    """
    receiver = Receiver()
    signal.connect(receiver.on_event)
    before = totals(followed)

    del receiver
    gc.collect()

    assert before == {"tick": 1}
    assert totals(followed) == {}
    assert not signal.receivers


def test_strong_receiver_stays(followed, signal):
    """
    With `weak=False` the signal keeps it, and it counts.
    """
    signal.connect(Receiver().on_event, weak=False)
    gc.collect()

    assert totals(followed) == {"tick": 1}
    assert len(signal.receivers) == 1


def test_receiver_counts_once_for_several_senders(followed, signal):
    """
    A receiver ends with the last sender that it is connected for.
    """
    senders = [Sender(), "name", 7]
    for sender in senders:
        signal.connect(receive, sender=sender)
    connected = totals(followed)

    for sender in senders[:2]:
        signal.disconnect(receive, sender=sender)
    one_left = totals(followed)
    signal.disconnect(receive, sender=7)

    assert connected == one_left == {"tick": 1}
    assert totals(followed) == {}


def test_disconnecting_from_all_ends_every_connection(followed, signal):
    """
    Without a sender the receiver is taken off entirely.
    """
    signal.connect(receive, sender="one")
    signal.connect(receive, sender="other")

    signal.disconnect(receive)

    assert totals(followed) == {}
    assert not signal.receivers


def test_cleared_signal_has_no_receivers(followed, signal):
    """
    A signal whose state is thrown away has nobody left.
    """
    signal.connect(receive)

    signal._clear_state()

    assert totals(followed) == {}


def test_line_of_the_service_is_named(followed, signal, request_to):
    """
    The call site is where the service calls blinker.
    """
    with request_to("/a").under_way():
        signal.connect_via("somebody")(receive)

    (group,) = followed.groups()
    assert (group.site.file, group.site.function) == (
        __file__,
        "test_line_of_the_service_is_named",
    )
    assert group.listener == "receive"


def test_signal_behaves_as_before(followed, signal):
    """
    Receivers are called with the sender, and the receiver is returned.
    """
    returned = signal.connect(receive)

    assert returned is receive
    assert signal.send("me") == [(receive, "me")]
    assert list(signal.receivers_for("me")) == [receive]


@pytest.mark.parametrize("name", ["connect", "disconnect", "_clear_state"])
def test_replaced_methods_look_like_the_originals(ledger, name):
    """
    Signature, documentation and name are kept.
    """
    before = getattr(Signal, name)
    seen = inspect.signature(before), before.__doc__, before.__qualname__

    INSTRUMENTOR.instrument(ledger)
    during = getattr(Signal, name)

    assert during is not before
    assert (inspect.signature(during), during.__doc__, during.__qualname__) == seen


def test_class_is_exactly_as_before_at_the_end(ledger):
    """
    Nothing of leakguard's is left in blinker.
    """
    before = dict(vars(Signal))

    INSTRUMENTOR.instrument(ledger)
    INSTRUMENTOR.uninstrument(ledger)

    assert dict(vars(Signal)) == before


def test_two_ledgers_are_told(followed, faults, signal):
    """
    Two guards in one process both know of a receiver.
    """
    second = Ledger(owner=None, max_registrations=9, max_listeners=9, faults=faults)
    INSTRUMENTOR.instrument(second)

    signal.connect(receive)

    assert totals(followed) == totals(second) == {"tick": 1}
