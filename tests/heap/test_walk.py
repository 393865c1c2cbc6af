"""One pass over the heap."""

import gc
import sys
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.registry import Registry
from leakguard.heap.roots import hidden, own_types, server_types
from leakguard.heap.walk import Root, Walker

from .names import index_of


class Kept:
    pass


class Server:
    def __init__(self, kept):
        self.kept = kept


def walked(*values, **options):
    options = {"skip": hidden()} | options
    return Walker([Root(f"root{number}", value) for number, value in enumerate(values)], **options)


def parents_of(walk, value):
    index, found = index_of(walk, value), []
    while index >= 0:
        found.append(walk.objects[index])
        index = walk.parents[index]
    return found, walk.roots[-1 - index].name


def test_shortest_way_wins():
    """
    Of two ways to an object the shorter one is kept.
    """
    kept = Kept()
    short, long = [kept], [[[kept]]]

    walk = walked(long, short).walk()

    assert parents_of(walk, kept) == ([kept, short], "root1")


def test_cycle_is_walked_once():
    """
    Objects that refer to each other are reached once each.
    """
    first, second = [], []
    first.append(second)
    second.append(first)

    walk = walked(first).walk()

    assert walk.objects == [first, second]
    assert walk.complete


def test_root_that_is_met_twice_is_kept_once():
    """
    The same object under two names has the first one.
    """
    kept = Kept()

    walk = walked([kept], [kept], kept).walk()

    assert sum(each is kept for each in walk.objects) == 1


def test_untracked_containers_are_seen_through():
    """
    Dicts and tuples of plain values, which the collector does not track, are reached.
    """
    rows = [(1, "a"), {"b": 2.5}]
    gc.collect()

    walk = walked(rows).walk()

    assert not gc.is_tracked(rows[1])
    assert any(each is rows[1] for each in walk.objects)
    assert 2.5 in [each for each in walk.objects if type(each) is float]


def test_walk_sees_frozen_objects_with_the_collector_off():
    """
    `gc.freeze()` and `gc.disable()`, as services do, hide nothing and stay as they are.
    """
    kept = Kept()
    holder = [kept]
    gc.disable()
    gc.freeze()
    frozen = gc.get_freeze_count()

    walk = walked(holder).walk()

    assert parents_of(walk, kept)[0] == [kept, holder]
    assert gc.get_freeze_count() == frozen
    assert not gc.isenabled()


def test_skipped_objects_are_not_there():
    """
    What is skipped is neither reached nor expanded.
    """
    kept = Kept()
    middle = [kept]

    walk = walked([middle], skip={id(middle)} | hidden()).walk()

    assert not any(each is middle or each is kept for each in walk.objects)


def test_walk_without_an_object_leaves_out_what_only_it_reaches():
    """
    A second walk may leave out more than the first, and the first is not changed by it.
    """
    kept, shared = Kept(), Kept()
    middle = [kept, shared]
    walker = walked([middle, [shared]])

    without = walker.walk(without={id(middle)})

    assert not any(each is kept for each in without.objects)
    assert any(each is shared for each in without.objects)
    assert any(each is kept for each in walker.walk().objects)


def test_leaf_is_reached_but_not_looked_into():
    """
    What only a leaf refers to is not reached.
    """
    kept = Kept()
    leaf = Server(kept)
    walker = walked([leaf], leaves={id(Server)})

    walk = walker.walk()

    assert any(each is leaf for each in walk.objects)
    assert not any(each is kept for each in walk.objects)
    assert walker.is_leaf(leaf)
    assert not walker.is_leaf(kept)


def test_true_holder_wins_over_a_nearer_harmless_one():
    """
    A server is looked into last, so that a longer way through the service is found.
    """
    kept = Kept()
    server, service = Server(kept), [[[[kept]]]]

    walk = walked(server, [server], service, harmless={id(Server)}).walk()
    walk_of_list = walked([server], service, harmless={id(Server)}).walk()

    assert index_of(walk_of_list, kept) < walk_of_list.harmless_from
    assert parents_of(walk_of_list, kept)[1] == "root1"
    assert any(each is server for each in walk.objects)


def test_what_only_a_server_holds_is_held_without_harm():
    """
    Without another holder the object is reached, and marked by its place.
    """
    kept = Kept()
    server = Server(kept)

    walk = walked([server], [1], harmless={id(Server)}).walk()

    assert index_of(walk, server) >= walk.harmless_from
    assert index_of(walk, kept) >= walk.harmless_from
    assert server in parents_of(walk, kept)[0]


def test_function_decides_which_instances_are_harmless():
    """
    Of one type some instances may be harmless and others not.
    """
    good, bad = Server(Kept()), Server(Kept())
    walker = walked([good, bad], harmless_if={id(Server): lambda each: each is good})

    walk = walker.walk()

    assert index_of(walk, good.kept) >= walk.harmless_from
    assert index_of(walk, bad.kept) < walk.harmless_from


def test_roots_have_their_turn():
    """
    Last roots come after all that the first ones reach, harmless roots after those.
    """
    first, last, harmless = Kept(), Kept(), Kept()
    everywhere = [first, last, harmless]
    walker = Walker(
        [Root("module", [[[[[first]]]]])],
        last_roots=[Root("frame", [[last], first])],
        harmless_roots=[Root("server", everywhere)],
        skip=hidden(),
    )

    walk = walker.walk()

    assert parents_of(walk, first)[1] == "module"
    assert parents_of(walk, last)[1] == "frame"
    assert parents_of(walk, harmless)[1] == "server"
    assert index_of(walk, last) < walk.harmless_from <= index_of(walk, harmless)


def test_frames_can_be_left_out():
    """
    Sizes are measured without the locals of running frames.
    """
    kept = Kept()
    walker = Walker([Root("module", [1])], last_roots=[Root("frame", [kept])], skip=hidden())

    walk = walker.walk(frames=False)

    assert not any(each is kept for each in walk.objects)


def test_walk_over_its_budget_stops_incomplete():
    """
    An inline walk that runs out of time says so, and what it has is in order.
    """
    walk = walked([[number] for number in range(10_000)]).walk(budget_s=-1)

    assert not walk.complete
    assert len(walk.objects) == len(walk.parents) == 1


def test_walk_within_its_budget_is_complete():
    """
    With time enough nothing is left out.
    """
    walk = walked([[number] for number in range(10_000)]).walk(budget_s=600)

    assert walk.complete
    assert len(walk.objects) > 10_000


def test_own_objects_are_not_on_any_path():
    """
    leakguard's instances are leaves: nothing is held through them.
    """
    registry = Registry(max_routes=5)
    record = registry.record("GET", "/a")

    walk = walked([registry], leaves=own_types()).walk()

    assert not any(each is record for each in walk.objects)


def test_classes_of_a_server_are_found_by_their_module(monkeypatch):
    """
    A class that a server's module defines is a server type; one that it imports is not.
    """
    module = ModuleType("uvicorn.made_up")
    module.Protocol = type("Protocol", (), {"__module__": "uvicorn.made_up"})
    module.Kept = Kept
    monkeypatch.setitem(sys.modules, "uvicorn.made_up", module)
    protocol = module.Protocol()
    protocol.scope = kept = Kept()

    found = server_types()
    walk = walked([protocol], [[[kept]]], harmless=found).walk()

    assert id(module.Protocol) in found
    assert id(Kept) not in found
    assert parents_of(walk, kept)[1] == "root1"


trees = st.recursive(
    st.integers(0, 3), lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
)


@given(trees)
def test_every_object_has_a_way_back_to_a_root(tree):
    """
    Each object is reached once, after its parent, by a reference that exists.
    """
    walk = walked([tree]).walk()

    assert len({id(each) for each in walk.objects}) == len(walk.objects)
    for index, parent in enumerate(walk.parents):
        assert parent < index
        if parent >= 0:
            referents = gc.get_referents(walk.objects[parent])
            assert any(each is walk.objects[index] for each in referents)
