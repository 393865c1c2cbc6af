"""Who holds requests that are over, and how much they keep."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.trace import Canary, OpenTrace
from leakguard.heap.census import deep_size
from leakguard.heap.holders import Target, find_holders
from leakguard.heap.roots import hidden, own_types
from leakguard.heap.walk import Root, Walker


class Hub:
    def __init__(self):
        self.subscribers = []


class Server:
    def __init__(self, scope):
        self.scope = scope


def canaries(count):
    found = []
    for serial in range(count):
        canary = Canary()
        canary.serial = serial
        found.append(canary)
    return found


def answer(space, targets, emitters=(), *, sized=False, **options):
    """Look for targets from the attributes of a module `shop`."""
    walker = Walker([Root("shop", space)], skip=hidden(), leaves=own_types(), **options)
    return find_holders(walker, walker.walk(), targets, emitters, sized=sized)


def each_a_target(found):
    return [Target(each.serial, (each,)) for each in found]


def test_requests_held_in_one_way_are_one_group():
    """
    However many requests a list keeps, they are one group, with their numbers.
    """
    hub, found = Hub(), canaries(5)
    hub.subscribers += [{"scope": canary} for canary in found]

    result = answer({"hub": hub}, each_a_target(found))

    (group,) = result["groups"]
    assert group["serials"] == [0, 1, 2, 3, 4]
    assert group["holder"] == "shop.hub.subscribers"
    assert group["path"] == ("shop.hub: Hub", ".subscribers: list", "[*]: dict")
    assert (group["harmless"], group["emitter"], group["size_bytes"]) == (False, None, None)


def test_requests_held_in_two_ways_are_two_groups():
    """
    Paths that differ in a name are told apart.
    """
    found = canaries(2)

    result = answer({"first": [found[0]], "second": [found[1]]}, each_a_target(found))

    assert [group["holder"] for group in result["groups"]] == ["shop.first", "shop.second"]


def test_unreached_requests_are_listed():
    """
    What no root leads to waits for the collector, or is held from C.
    """
    found = canaries(2)

    result = answer({"hub": [found[0]]}, each_a_target(found))

    assert result["unreached"] == [1]
    assert [group["serials"] for group in result["groups"]] == [[0]]


def test_request_is_found_by_either_canary():
    """
    The scope's canary comes first; where it is gone or not reached, the context's is taken.
    """
    (scope,), context = canaries(1), OpenTrace()

    both = answer({"scopes": [scope], "contexts": [context]}, [Target(1, (scope, context))])
    one = answer({"contexts": [context]}, [Target(1, (scope, context))])

    assert [group["holder"] for group in both["groups"]] == ["shop.scopes"]
    assert [group["holder"] for group in one["groups"]] == ["shop.contexts"]


def test_true_holder_of_one_canary_wins_over_a_servers_of_the_other():
    """
    A server may hold the scope while the service keeps the context.
    """
    (scope,), context = canaries(1), OpenTrace()
    space = {"server": [Server(scope)], "contexts": [context]}

    result = answer(space, [Target(1, (scope, context))], harmless={id(Server)})

    (group,) = result["groups"]
    assert (group["holder"], group["harmless"]) == ("shop.contexts", False)


def test_request_that_only_a_server_holds_is_harmless():
    """
    The last request of a connection is held by the server's protocol, and marked so.
    """
    (scope,) = canaries(1)

    result = answer(
        {"server": [Server(scope)]}, each_a_target([scope]), sized=True, harmless={id(Server)}
    )

    (group,) = result["groups"]
    assert group["harmless"]
    assert group["size_bytes"] is None


def test_emitters_are_named_and_told_apart():
    """
    The path goes through a known emitter, which has a name of its own.
    """
    hub, other, unknown = Hub(), Hub(), Hub()
    found = canaries(2)
    hub.subscribers.append(found[0])
    other.subscribers.append(found[1])

    result = answer(
        {"hubs": {"a": other}, "hub": hub}, each_a_target(found), emitters=[unknown, hub, other]
    )

    assert result["emitter_names"] == [None, "shop.hub", "shop.hubs"]
    assert {tuple(group["serials"]): group["emitter"] for group in result["groups"]} == {
        (0,): 1,
        (1,): 2,
    }


def test_function_on_the_way_is_the_site():
    """
    A callback that remembers its request is named with file, line and function.
    """
    (canary,) = canaries(1)

    def callback():
        return canary

    result = answer({"callbacks": [callback]}, each_a_target([canary]))

    assert result["groups"][0]["site"] == [
        __file__,
        callback.__code__.co_firstlineno,
        callback.__qualname__,
        "holder",
    ]


def big():
    return bytearray(1_000_000)


def sizes(space, found):
    result = answer(space, each_a_target(found), sized=True)
    return {group["holder"]: group["size_bytes"] for group in result["groups"]}


def test_size_is_what_the_requests_keep():
    """
    What each element of the container leads to counts, the container does not.
    """
    found = canaries(3)
    elements = [{"scope": canary, "body": big()} for canary in found]
    bodies = [element["body"] for element in elements]

    measured = sizes({"kept": elements}, found)

    own = deep_size([*elements, *bodies])
    names = deep_size(["scope", "body"])
    assert own <= measured["shop.kept"] <= own + names


def test_size_of_a_single_request_is_that_of_its_element():
    """
    A single request cannot be compared with others: the element of the container stands for it.
    """
    (canary,) = canaries(1)
    element = [canary, big()]

    measured = sizes({"kept": [element, 1]}, [canary])

    assert measured["shop.kept"] == deep_size([element, element[1]])


def test_what_others_hold_too_is_not_counted():
    """
    An object that the service would keep without these requests is not theirs.
    """
    found, shared = canaries(2), big()
    elements = [[canary, shared] for canary in found]

    measured = sizes({"kept": elements, "config": shared}, found)

    assert measured["shop.kept"] == deep_size(elements)


def test_what_two_groups_share_is_counted_for_neither():
    """
    An object that goes only when two leaks are mended is kept by none of them alone.
    """
    found, shared = canaries(4), big()
    left = [[canary, shared] for canary in found[:2]]
    right = [(canary, shared) for canary in found[2:]]

    measured = sizes({"left": left, "right": right}, found)

    assert measured == {"shop.left": deep_size(left), "shop.right": deep_size(right)}


def test_what_the_requests_of_one_group_share_is_counted_once():
    """
    An object held by all elements of one leak goes with it.
    """
    found, shared = canaries(3), big()
    elements = [[canary, shared] for canary in found]

    measured = sizes({"kept": elements}, found)

    assert measured["shop.kept"] == deep_size([*elements, shared])


def test_canaries_have_no_size():
    """
    leakguard's own objects are not what a leak keeps.
    """
    found = canaries(2)

    measured = sizes({"kept": list(found)}, found)

    assert measured == {"shop.kept": 0}


def test_size_of_what_cannot_be_sized_is_left_out():
    """
    An object whose `__sizeof__` fails does not hide the rest.
    """

    class Unsized:
        def __sizeof__(self):
            raise RuntimeError("no size")

    (canary,) = canaries(1)
    element, body = [canary, Unsized()], big()
    element.append(body)

    measured = sizes({"kept": [element]}, [canary])

    assert measured["shop.kept"] >= sys.getsizeof(body)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_every_request_is_in_one_group_or_unreached(lengths):
    """
    Each target is accounted for once, in whatever containers they are.
    """
    found = canaries(sum(lengths))
    space, rest = {}, list(found)
    for number, length in enumerate(lengths):
        space[f"holder{number}"] = [[rest.pop()] for _ in range(length)]
    space.pop("holder0")

    result = answer(space, each_a_target(found), sized=True)

    serials = [serial for group in result["groups"] for serial in group["serials"]]
    assert sorted(serials + result["unreached"]) == list(range(len(found)))
    assert len(result["unreached"]) == lengths[0]
    assert all(group["size_bytes"] > 0 for group in result["groups"])


@pytest.mark.parametrize("sized", [True, False])
def test_nothing_to_look_for_gives_nothing(sized):
    """
    Without targets and emitters there is nothing to tell.
    """
    result = answer({"hub": Hub()}, [], sized=sized)

    assert result == {"groups": [], "unreached": [], "emitter_names": []}
