"""The living registrations of listeners."""

import contextvars
import functools
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.faults import Faults
from leakguard.instrumentation import ledger as ledger_module
from leakguard.instrumentation.ledger import ALL, Ledger
from leakguard.instrumentation.registration import event_label


class Emitter:
    pass


class Receiver:
    def on_event(self):
        pass


def listener():
    pass


def silent(*args, **keys):
    pass


def totals(ledger):
    return {event: count for _, event, count in ledger.counts()}


def add(ledger, emitter, event="tick", listener=listener, **more):
    ledger.added(emitter, event, listener, library="", **more)


@pytest.fixture
def emitter():
    return Emitter()


def test_living_listeners_are_counted_by_event(ledger, emitter):
    """
    Listeners count for their event, of emitters of one type together.
    """
    other = Emitter()

    add(ledger, emitter, "tick")
    add(ledger, emitter, "tock")
    add(ledger, other, "tick")

    assert sorted(ledger.counts()) == [("Emitter", "tick", 2), ("Emitter", "tock", 1)]


def test_removed_listener_is_gone(ledger, emitter):
    """
    A listener taken off an event counts no more; on another event it still does.
    """
    add(ledger, emitter, "tick")
    add(ledger, emitter, "tock")

    ledger.removed(emitter, "tick", listener)

    assert totals(ledger) == {"tock": 1}


def test_listener_taken_off_all_events_is_gone(ledger, emitter):
    """
    Where the event is not told, the listener is taken off all of them.
    """
    add(ledger, emitter, "tick")
    add(ledger, emitter, "tock")
    add(ledger, emitter, "tock", print)

    ledger.removed(emitter, ALL, listener)

    assert totals(ledger) == {"tock": 1}


@pytest.mark.parametrize(
    ("event", "left"),
    [pytest.param("tick", {"tock": 1}, id="event"), pytest.param(ALL, {}, id="all")],
)
def test_cleared_emitter_has_no_listeners(ledger, emitter, event, left):
    """
    One event or all of them may be cleared at once.
    """
    add(ledger, emitter, "tick")
    add(ledger, emitter, "tick", print)
    add(ledger, emitter, "tock")

    ledger.cleared(emitter, event)

    assert totals(ledger) == left


def test_unknown_emitters_and_listeners_are_ignored(ledger, emitter, faults):
    """
    What was registered before the ledger came is not known, and no error.
    """
    ledger.removed(Emitter(), "tick", listener)
    ledger.cleared(Emitter())
    add(ledger, emitter)
    ledger.removed(emitter, "tock", listener)
    ledger.removed(emitter, "tick", print)
    ledger.cleared(emitter, "tock")

    assert totals(ledger) == {"tick": 1}
    assert faults.counts() == {}


def test_listener_registered_twice_counts_once(ledger, emitter):
    """
    Emitters keep one entry for the same listener, so does the ledger.
    """
    add(ledger, emitter)
    add(ledger, emitter)
    ledger.removed(emitter, "tick", listener)

    assert totals(ledger) == {}


def test_methods_are_told_apart_by_instance(ledger, emitter):
    """
    Each look at a method makes a new object; instance and function tell it.
    """
    first, second = Receiver(), Receiver()
    add(ledger, emitter, listener=first.on_event)
    add(ledger, emitter, listener=first.on_event)
    add(ledger, emitter, listener=second.on_event)

    ledger.removed(emitter, "tick", first.on_event)

    assert totals(ledger) == {"tick": 1}


def test_listener_ends_with_its_last_part(ledger, emitter):
    """
    Connected for several senders, a listener is one until the last of them is taken off.
    """
    add(ledger, emitter, part="one")
    add(ledger, emitter, part="two")

    ledger.removed(emitter, "tick", listener, part="one")
    before = totals(ledger)
    ledger.removed(emitter, "tick", listener, part="two")

    assert before == {"tick": 1}
    assert totals(ledger) == {}


def test_token_takes_the_listener_off(ledger, emitter):
    """
    Where a token stands for the listener, the token ends it, and so does the listener.
    """
    tokens = [1, "two", object()]
    kept = [functools.partial(print, number) for number in range(4)]
    for each, token in zip(kept, [*tokens, None], strict=True):
        add(ledger, emitter, listener=each, token=token)
    before = totals(ledger)

    for token in tokens:
        ledger.removed(emitter, ALL, token)
    between = totals(ledger)
    ledger.removed(emitter, ALL, kept[3])

    assert (before, between) == ({"tick": 4}, {"tick": 1})
    assert totals(ledger) == {}


@pytest.mark.parametrize(
    "receive", [pytest.param(lambda each: each, id="object"),
                pytest.param(lambda each: each.on_event, id="method")]
)  # fmt: skip
def test_weak_receiver_leaves_by_itself(ledger, emitter, receive):
    """
    A receiver held weakly by its emitter counts for as long as it lives.
    """
    receiver = Receiver()
    add(ledger, emitter, listener=receive(receiver), weak=True)
    before = totals(ledger)

    del receiver
    gc.collect()

    assert before == {"tick": 1}
    assert totals(ledger) == {}


def test_ledger_keeps_neither_emitter_nor_listener(ledger):
    """
    Nothing of the service's is held, whatever way it was registered.
    """
    emitter, receiver, strong = Emitter(), Receiver(), Receiver()
    seen = [weakref.ref(each) for each in (emitter, receiver, strong)]
    add(ledger, emitter, listener=receiver.on_event, weak=True)
    add(ledger, emitter, listener=strong.on_event)

    del emitter, receiver, strong

    assert [each() for each in seen] == [None, None, None]


def test_registrations_end_with_their_emitter(ledger):
    """
    A dead emitter has no listeners, and makes room for others.
    """
    emitter = Emitter()
    add(ledger, emitter, "tick")
    add(ledger, emitter, "tock")
    other = Emitter()
    add(ledger, other, "tack")

    del emitter
    gc.collect()

    assert totals(ledger) == {"tack": 1}


def test_new_emitter_in_the_place_of_a_dead_one_starts_empty(ledger):
    """
    CPython gives the address of a dead object to a new one.
    """
    for _ in range(100):
        emitter = Emitter()
        add(ledger, emitter)
        del emitter

    emitter = Emitter()
    add(ledger, emitter)

    assert totals(ledger) == {"tick": 1}


def test_emitters_are_returned_while_they_live(ledger, emitter, request_to):
    """
    Emitters are found by the key that groups have.
    """
    request = request_to("/a")
    other = Emitter()
    with request.under_way():
        add(ledger, emitter)
        add(ledger, other)
    keys = {group.emitter_key for group in ledger.groups()}

    del other
    found = ledger.emitters(keys | {-1})

    assert list(found.values()) == [emitter]


def test_request_and_line_are_named(ledger, emitter, request_to):
    """
    A registration made in a request and still there after it counts against its route.
    """
    request = request_to("/a")

    with request.under_way() as trace:
        add(ledger, emitter)
        during = ledger.groups()

    (group,) = ledger.groups()
    assert during == []
    assert (group.emitter, group.event, group.listener, group.count) == (
        "Emitter", "tick", "listener", 1,
    )  # fmt: skip
    assert group.record is request.record
    assert (group.site.file, group.site.function, group.site.how) == (__file__, "add", "call")
    assert (group.code.file, group.code.line) == (__file__, listener.__code__.co_firstlineno)
    assert (trace.added, trace.removed) == (1, 0)


def test_registrations_of_one_line_and_route_are_one_group(ledger, emitter, request_to):
    """
    Events are named where they agree, and routes are told apart.
    """
    kept = [functools.partial(print, number) for number in range(8)]
    for route, listeners in (("/a", kept[:3]), ("/b", kept[3:6])):
        with request_to(route).under_way():
            for each in listeners:
                add(ledger, emitter, "tick", each)
    with request_to("/c").under_way():
        for event, each in (("tick", kept[6]), ("tock", kept[7])):
            add(ledger, emitter, event, each)

    found = {group.record.route: (group.count, group.event) for group in ledger.groups()}

    assert found == {"/a": (3, "tick"), "/b": (3, "tick"), "/c": (2, "*")}


def test_registration_outside_of_requests_belongs_to_no_route(ledger, emitter):
    """
    What is registered at start-up is counted, and blamed on nobody.
    """
    add(ledger, emitter)

    assert totals(ledger) == {"tick": 1}
    assert ledger.groups() == []


def test_registration_after_the_request_is_its_routes(ledger, emitter, request_to):
    """
    A task that outlives its request still registers for its route.
    """
    request = request_to("/a")

    request.close()
    with request.under_way():
        add(ledger, emitter)

    assert [group.record for group in ledger.groups()] == [request.record]


def test_removal_in_the_request_is_counted(ledger, emitter, request_to):
    """
    A request that takes off what it put on leaves nothing behind.
    """
    with request_to("/a").under_way() as trace:
        add(ledger, emitter)
        ledger.removed(emitter, "tick", listener)

    assert (trace.added, trace.removed) == (1, 1)
    assert ledger.groups() == []


def test_death_of_a_receiver_is_not_what_the_next_request_did(ledger, emitter, request_to):
    """
    A weak receiver that died is struck off at the next call, which may be another request's.
    """
    receiver = Receiver()
    add(ledger, emitter, listener=receiver, weak=True)
    del receiver

    with request_to("/innocent").under_way() as trace:
        add(ledger, emitter, listener=print)

    assert totals(ledger) == {"tick": 1}
    assert (trace.added, trace.removed) == (1, 0)


def test_request_of_another_guard_is_not_blamed(emitter, faults, request_to):
    """
    A ledger attributes to the traces of its own guard only.
    """
    stranger = Ledger(owner=object(), max_registrations=9, max_listeners=9, faults=faults)

    with request_to("/a").under_way() as trace:
        add(stranger, emitter)

    assert totals(stranger) == {"tick": 1}
    assert stranger.groups() == []
    assert trace.added == 0


def test_too_many_listeners_are_said_once(ledger, emitter):
    """
    More than the bound on one event is told with the lines that add most, once.
    """

    def from_elsewhere(each):
        ledger.added(emitter, "tick", each, library="")

    kept = [functools.partial(print, number) for number in range(30)]
    for each in kept[:8]:
        from_elsewhere(each)
    for each in kept[8:]:
        add(ledger, emitter, "tick", each)

    (exceeded,) = ledger.exceeded
    assert (exceeded.emitter, exceeded.event, exceeded.count) == ("Emitter", "tick", 11)
    assert [(site.function.rpartition(".")[2], count) for site, count in exceeded.sites] == [
        ("from_elsewhere", 8),
        ("add", 3),
    ]


def test_another_event_and_a_new_emitter_are_warned_of_again(ledger):
    """
    Once is for one event of one emitter.
    """
    kept = [functools.partial(print, number) for number in range(11)]
    for _ in range(2):
        emitter = Emitter()
        for event in ("tick", "tock"):
            for each in kept:
                add(ledger, emitter, event, each)
        del emitter

    assert [each.event for each in ledger.exceeded] == ["tick", "tock"] * 2


def test_full_ledger_only_counts(emitter, faults):
    """
    Beyond the bound registrations are counted as missed, until there is room again.
    """
    ledger = Ledger(owner=None, max_registrations=2, max_listeners=9, faults=faults)
    kept = [functools.partial(print, number) for number in range(5)]
    for each in kept:
        add(ledger, emitter, "tick", each)
    full, missed = totals(ledger), ledger.missed

    ledger.removed(emitter, "tick", kept[0])
    add(ledger, emitter, "tick", kept[4])

    assert (full, missed) == ({"tick": 2}, 3)
    assert totals(ledger) == {"tick": 2}
    assert ledger.missed == 3


def test_full_ledger_keeps_nothing_of_further_events(emitter, faults):
    """
    New events at the bound leave no empty entries, which would grow without one.
    """
    ledger = Ledger(owner=None, max_registrations=1, max_listeners=9, faults=faults)

    for number in range(5):
        add(ledger, emitter, f"user_{number}")

    assert totals(ledger) == {"user_0": 1}


class Unhashable:
    __hash__ = None


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda ledger: add(ledger, Emitter(), Unhashable()), id="added"),
        pytest.param(lambda ledger: add(ledger, 3), id="no-weak-references"),
        pytest.param(lambda ledger: ledger.removed(KEPT, Unhashable(), listener), id="removed"),
        pytest.param(lambda ledger: ledger.cleared(KEPT, Unhashable()), id="cleared"),
    ],
)
def test_errors_are_counted_and_never_raised(ledger, faults, call):
    """
    Whatever a caller gives, the service goes on.
    """
    add(ledger, KEPT)

    call(ledger)

    assert faults.counts() == {"listeners": 1}
    assert totals(ledger) == {"tick": 1}


KEPT = Emitter()


def test_ledger_that_fails_too_often_is_switched_off(ledger, emitter, faults):
    """
    After a few errors nothing is followed any more.
    """
    for _ in range(5):
        add(ledger, emitter, Unhashable())

    add(ledger, emitter)

    assert totals(ledger) == {}
    assert faults.off == {"listeners"}


def test_call_site_is_outside_of_the_library(ledger, emitter, request_to):
    """
    Frames of the emitter's library, of leakguard, contextlib and functools are passed over.
    """
    space = {"__name__": "busses.inner", "ledger": ledger, "emitter": emitter, "print": print}
    exec("def on(event):\n    ledger.added(emitter, event, print, library='busses')", space)

    with request_to("/a").under_way():
        functools.partial(space["on"], "tick")()

    (group,) = ledger.groups()
    assert group.site.file == __file__


def test_line_is_not_known_where_only_the_library_calls(ledger, emitter, request_to):
    """
    A thread that runs nothing but library code registers without a site.
    """
    library = threading.__name__
    space = {"__name__": library, "ledger": ledger, "emitter": emitter, "print": print}
    exec(
        f"def on(context):\n"
        f"    context.run(ledger.added, emitter, 'tick', print, library={library!r})",
        space,
    )
    request = request_to("/a")
    with request.under_way():
        context = contextvars.copy_context()
        thread = threading.Thread(target=space["on"], args=(context,))
        thread.start()
        thread.join()

    (group,) = ledger.groups()
    assert group.site is None


def test_lines_are_named_beyond_the_bound_of_those_kept(ledger, emitter, request_to, monkeypatch):
    """
    Known lines are kept up to a bound; later ones are named all the same.
    """
    monkeypatch.setattr(ledger_module, "_MAX_SITES", 0)

    with request_to("/a").under_way():
        add(ledger, emitter)

    (group,) = ledger.groups()
    assert group.site.function == "add"


@pytest.mark.parametrize(
    ("event", "label"),
    [
        pytest.param("tick", "tick", id="name"),
        pytest.param("user.created:now-or-later", "user.created:now-or-later", id="dotted"),
        pytest.param("a mail to bob@example.org", "*", id="contents"),
        pytest.param("x" * 41, "*", id="long"),
        pytest.param("4711", "*", id="number"),
        pytest.param("", "*", id="empty"),
        pytest.param(4711, "*", id="no-text"),
    ],
)
def test_event_is_shown_only_if_it_is_a_name(event, label):
    """
    Contents of events never show.
    """
    assert event_label(event) == label


def test_eight_threads_lose_nothing(ledger, emitter, faults):
    """
    Threads that register and take off at the same time leave the right count.
    """
    barrier = threading.Barrier(8)
    kept = [[functools.partial(print, number) for number in range(100)] for _ in range(8)]

    def work(number):
        barrier.wait()
        for each in kept[number]:
            add(ledger, emitter, "tick", each)
        for each in kept[number][:60]:
            ledger.removed(emitter, "tick", each)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert totals(ledger) == {"tick": 320}
    assert faults.counts() == {}


FINALIZER = """
import faulthandler, gc, os, threading
from leakguard.core.faults import Faults
from leakguard.instrumentation.ledger import Ledger

def log(*args, **keys):
    print(keys)

class Emitter:
    pass

class Dying:
    def __init__(self):
        self.me = self

    def __del__(self):
        ledger.removed(emitter, "tick", print)
        if not ends:
            Dying()

ends, emitter = [], Emitter()
ledger = Ledger(owner=None, max_registrations=99, max_listeners=99,
                faults=Faults(max_errors=5, log=log))

def work():
    Dying()
    gc.set_threshold(1)
    for number in range(50):
        ledger.added(emitter, f"tick_{number}", print, library="")
    gc.set_threshold(700)
    ends.append(1)

thread = threading.Thread(target=work, daemon=True)
thread.start()
thread.join(10)
print("blocked" if thread.is_alive() else len(ledger.counts()), flush=True)
os._exit(0)
"""


def test_finalizer_that_unregisters_during_a_registration_does_not_block(script):
    """
    The collector may run anywhere, also while the ledger works, and finalizers call emitters.
    """
    assert script(FINALIZER) == "50"


def test_receiver_that_dies_during_a_call_is_struck_off(ledger, emitter):
    """
    A weak reference's callback may come while the ledger works on the same event.
    """

    class Event(str):
        """An event whose hash lets a receiver die in the middle of a registration."""

        __slots__ = ()

        def __hash__(self):
            receivers.clear()
            return str.__hash__(self)

    receivers = [Receiver()]
    add(ledger, emitter, "tick", receivers[0], weak=True)

    add(ledger, emitter, Event("tick"), print)

    assert sum(totals(ledger).values()) == 1


def test_call_in_the_middle_of_a_registration_is_done_after_it(ledger, emitter):
    """
    What comes while the ledger works waits for its turn, and is not lost.
    """

    class Event(str):
        """An event whose hash takes a listener off, as a finalizer may."""

        __slots__ = ()

        def __hash__(self):
            ledger.removed(emitter, "tock", listener)
            return str.__hash__(self)

    add(ledger, emitter, "tock")

    add(ledger, emitter, Event("tick"), print)

    assert {str(event): count for event, count in totals(ledger).items()} == {"*": 1}


operations = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "clear", "clear_all", "remove_all"]),
        st.integers(0, 1),
        st.sampled_from(["tick", "tock"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


@given(operations)
def test_ledger_agrees_with_a_plain_set(steps):
    """
    After any order of calls the ledger has what a set of (emitter, event, listener) has.
    """
    faults = Faults(max_errors=5, log=silent)
    ledger = Ledger(owner=None, max_registrations=1000, max_listeners=2, faults=faults)
    emitters = [Emitter(), Emitter()]
    listeners = [functools.partial(print, number) for number in range(4)]
    model = set()

    for name, emitter, event, each in steps:
        if name == "add":
            add(ledger, emitters[emitter], event, listeners[each])
            model.add((emitter, event, each))
        elif name == "remove":
            ledger.removed(emitters[emitter], event, listeners[each])
            model.discard((emitter, event, each))
        elif name == "clear":
            ledger.cleared(emitters[emitter], event)
            model = {known for known in model if known[:2] != (emitter, event)}
        elif name == "clear_all":
            ledger.cleared(emitters[emitter])
            model = {known for known in model if known[0] != emitter}
        else:
            ledger.removed(emitters[emitter], ALL, listeners[each])
            model = {known for known in model if (known[0], known[2]) != (emitter, each)}

    assert sum(totals(ledger).values()) == len(model)
    assert {event for _, event, _ in model} == set(totals(ledger))
    assert faults.counts() == {}


@given(bound=st.integers(1, 5), steps=operations)
def test_bound_holds_under_any_order_of_calls(bound, steps):
    """
    There are never more registrations than the bound.
    """
    ledger = Ledger(
        owner=None,
        max_registrations=bound,
        max_listeners=2,
        faults=Faults(max_errors=5, log=silent),
    )
    emitters = [Emitter(), Emitter()]
    listeners = [functools.partial(print, number) for number in range(4)]

    for name, emitter, event, each in steps:
        if name == "add":
            add(ledger, emitters[emitter], event, listeners[each])
        else:
            ledger.removed(emitters[emitter], event, listeners[each])
        assert sum(totals(ledger).values()) <= bound
