"""What each pass saw, brought together by cause."""

import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.holding import HeldGroup
from leakguard.core.registry import RouteRecord
from leakguard.core.site import Site
from leakguard.detection.evidence import observe

BUY, SELL = RouteRecord("GET", "/buy"), RouteRecord("GET", "/sell")
LINE = Site("/srv/shop.py", 5, "buy", "call")
CODE = Site("/srv/shop.py", 9, "buy.<locals>.on_event", "listener")
PATH = ("shop.hub: Hub", ".subscribers: list")


@dataclass(frozen=True)
class Listening:
    """Registrations that one line made."""

    emitter_key: int = 1
    emitter: str = "Hub"
    event: str = "tick"
    listener: str = "on_event"
    code: Site | None = CODE
    site: Site | None = LINE
    record: RouteRecord = BUY
    count: int = 4


def group(serials, path=PATH, **more):
    defaults = {"holder": "shop.hub", "site": None, "emitter": None, "harmless": False,
                "size_bytes": None}  # fmt: skip
    return HeldGroup(serials=tuple(serials), path=path, **(defaults | more))


def seen(groups=(), listeners=(), records=None, emitter_keys=(), names=None, forgotten=None):
    return observe(
        groups,
        listeners,
        records={} if records is None else records,
        emitter_keys=emitter_keys,
        emitter_names={} if names is None else names,
        forgotten={} if forgotten is None else forgotten,
    )


def test_held_requests_are_counted_by_route():
    """
    One way of being held is one observation for each route, with its part of the size.
    """
    found = seen([group([1, 2, 3, 4], size_bytes=400)], records={1: BUY, 2: BUY, 3: BUY, 4: SELL})

    assert [(each.record, each.count, each.size_bytes) for each in found] == [
        (BUY, 3, 300),
        (SELL, 1, 100),
    ]
    assert {each.kind for each in found} == {"retained_request"}
    assert {each.signature for each in found} == {PATH}


def test_harmless_groups_are_not_observed():
    """
    What only a server holds is no leak.
    """
    assert seen([group([1], harmless=True)], records={1: BUY}) == []


def test_requests_that_are_followed_no_longer_still_count():
    """
    Canaries let go of for want of room count for as long as the rest of their group lives.
    """
    (found,) = seen(
        [group([1, 2], size_bytes=20)],
        records={1: BUY, 2: BUY},
        forgotten={(PATH, BUY): 8, (PATH, SELL): 5},
    )

    assert (found.count, found.size_bytes) == (10, 100)


def test_handler_is_named_where_no_code_is_on_the_path():
    """
    The route's own function is the nearest place known.
    """
    handler = Site("/srv/shop.py", 1, "buy", "handler")
    record = RouteRecord("GET", "/buy", handler)

    (found,) = seen([group([1])], records={1: record})

    assert found.sites == (handler,)


def test_code_on_the_path_comes_before_the_handler_unless_it_is_a_librarys():
    """
    A library's code says less than the handler does.
    """
    handler = Site("/srv/shop.py", 1, "buy", "handler")
    own = Site("/srv/shop.py", 7, "callback", "holder")
    library = Site(json.__file__, 7, "callback", "holder")
    record = RouteRecord("GET", "/buy", handler)

    (first,) = seen([group([1], site=own)], records={1: record})
    (second,) = seen([group([1], site=library)], records={1: record})

    assert first.sites == (own, handler)
    assert second.sites == (handler, library)


def test_listener_is_observed_on_its_emitter():
    """
    Registrations are named by their emitter, with the line that made them first.
    """
    (found,) = seen(listeners=[Listening()], names={1: "shop.hub"})

    assert (found.kind, found.holder, found.count, found.size_bytes) == (
        "listener",
        "shop.hub",
        4,
        None,
    )
    assert found.path == ("shop.hub: Hub", "on_event on event tick")
    assert found.sites == (LINE, CODE)
    assert found.evidence == ("listener on_event on event tick",)


def test_emitter_without_a_name_is_named_by_its_type():
    """
    An emitter that no module holds is one of its class; an event without a name is left out.
    """
    (found,) = seen(listeners=[Listening(event="*", code=None, site=None)])

    assert found.holder == "a Hub"
    assert found.path == ("a Hub: Hub", "on_event")
    assert found.sites == ()


def test_requests_kept_by_a_known_listener_are_its_evidence():
    """
    One cause is one observation: the listener, with what it keeps.
    """
    (found,) = seen(
        [group([1, 2], emitter=0, size_bytes=50)],
        [Listening()],
        records={1: BUY, 2: BUY},
        emitter_keys=[1],
        names={1: "shop.hub"},
    )

    assert (found.kind, found.count, found.size_bytes, found.path) == ("listener", 4, 50, PATH)
    assert found.evidence[-1] == "2 requests that are over are kept through it"


def test_requests_kept_through_an_emitter_by_something_else_are_observed():
    """
    Only the route that registered is explained by its listeners.
    """
    found = seen(
        [group([1, 2], emitter=0)],
        [Listening()],
        records={1: BUY, 2: SELL},
        emitter_keys=[1],
    )

    assert [(each.kind, each.record) for each in found] == [
        ("retained_request", SELL),
        ("listener", BUY),
    ]


def test_pieces_of_one_cause_are_added_up():
    """
    Two emitters with the same listener from the same line are one leak; the larger one shows.
    """
    (found,) = seen(
        listeners=[Listening(emitter_key=1, count=2), Listening(emitter_key=2, count=7)],
        names={1: "shop.small", 2: "shop.large"},
    )

    assert (found.count, found.holder) == (9, "shop.large")


def test_sizes_of_pieces_are_added_up_where_known():
    """
    A piece without a size does not hide the size of another.
    """
    pieces = [group([1], size_bytes=10, emitter=0), group([2, 3], size_bytes=None)]

    (found,) = seen(pieces, records={1: BUY, 2: BUY, 3: BUY}, emitter_keys=[7])

    assert (found.count, found.size_bytes) == (3, 10)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.sampled_from([BUY, SELL])),
        max_size=8,
    )
)
def test_every_held_request_is_counted_once(pieces):
    """
    However the groups are cut, no request is lost or counted twice.
    """
    records, groups, serial = {}, [], 0
    for path, length, record in pieces:
        serials = range(serial, serial + length)
        records.update(dict.fromkeys(serials, record))
        groups.append(group(serials, path=(path,)))
        serial += length

    found = seen(groups, records=records)

    assert sum(each.count for each in found) == len(records)
    keys = [(each.signature, each.record) for each in found]
    assert len(set(keys)) == len(keys)
