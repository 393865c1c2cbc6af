"""Find who holds the requests that survived, and how much they keep."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from gc import get_referents
from typing import Any

from .census import deep_size
from .path import Path, PathNamer
from .walk import Walk, Walker


@dataclass(frozen=True, slots=True)
class Target:
    """A request to look for: its number, and those of its canaries that live, scope's first."""

    serial: int
    canaries: tuple[Any, ...]


@dataclass(slots=True)
class _Group:
    """Requests with one path, and the nodes at which their chains part from each other."""

    path: Path
    harmless: bool
    emitter: int | None
    serials: list[int] = field(default_factory=list)
    chains: list[tuple[int, ...]] = field(default_factory=list)

    def anchors(self) -> list[int]:
        """
        Return, for each request, the first object on its chain that is not on all chains.

        What is above is the container that holds them all; a single request has none to compare
        with, so that the first element of any container stands for it.
        """
        if len(self.chains) == 1:
            return [self.path.first_element]
        depth = 0
        while len({chain[min(depth, len(chain) - 1)] for chain in self.chains}) == 1:
            depth += 1
        return [chain[min(depth, len(chain) - 1)] for chain in self.chains]


def find_holders(
    walker: Walker, walk: Walk, targets: Sequence[Target], emitters: Sequence[Any], *, sized: bool
) -> dict[str, Any]:
    """
    Group *targets* by the way they are held.

    Args:
        walker: Walks again, to tell what only the targets' holders reach.
        walk: The finished walk.
        targets: The requests to look for.
        emitters: Objects whose names are wanted, and which paths are told apart by.
        sized: Measure what each group keeps, by a second walk that leaves the group's objects
            out: what it does not reach is kept by them alone (their joint dominator set).

    Returns:
        JSON: `groups`, `unreached`, `emitter_names`.
    """
    wanted = {id(each) for target in targets for each in target.canaries}
    numbers = {id(each): number for number, each in enumerate(emitters)}
    where: dict[int, int] = {}
    for index, value in enumerate(walk.objects):
        key = id(value)
        if key in wanted or key in numbers:
            where[key] = index
    namer = PathNamer(walk)
    groups: dict[Any, _Group] = {}
    unreached: list[int] = []
    for target in targets:
        found = [where[id(each)] for each in target.canaries if id(each) in where]
        if found:
            # A true holder before a harmless one, the scope's before the context's.
            _assign(walk, namer, groups, target, min(found, key=lambda i: i >= walk.harmless_from),
                    numbers)  # fmt: skip
        else:
            unreached.append(target.serial)
    sizes = _sizes(walker, walk, groups.values()) if sized and groups else {}
    return {
        "groups": [_as_json(namer, group, sizes.get(id(group))) for group in groups.values()],
        "unreached": unreached,
        "emitter_names": [
            namer.path_to(where[id(each)], inclusive=True).holder if id(each) in where else None
            for each in emitters
        ],
    }


def _assign(
    walk: Walk,
    namer: PathNamer,
    groups: dict[Any, _Group],
    target: Target,
    index: int,
    numbers: dict[int, int],
) -> None:
    path = namer.path_to(index)
    passed = (numbers.get(id(walk.objects[node])) for node in path.nodes)
    emitter = next((number for number in passed if number is not None), None)
    harmless = index >= walk.harmless_from
    key = (path.lines, harmless, emitter)
    if key not in groups:
        groups[key] = _Group(path, harmless, emitter)
    groups[key].serials.append(target.serial)
    groups[key].chains.append(path.nodes)


def _sizes(walker: Walker, walk: Walk, groups: Iterable[_Group]) -> dict[int, int]:
    anchored = {
        id(group): [walk.objects[node] for node in group.anchors()]
        for group in groups
        if not group.harmless
    }
    blocked = {id(anchor) for anchors in anchored.values() for anchor in anchors}
    # What a thread is handed is in the local variables of its frames, too: without them.
    shared = walker.walk(without=blocked, frames=False)
    reached = {id(value) for value in shared.objects} | walker.skip
    below = {key: _only_below(anchors, reached, walker) for key, anchors in anchored.items()}
    # What two groups share goes only when both leaks are mended: it is kept by neither alone.
    times = Counter(id(value) for values in below.values() for value in values)
    return {
        key: deep_size([value for value in values if times[id(value)] == 1])
        for key, values in below.items()
    }


def _only_below(anchors: list[Any], reached: set[int], walker: Walker) -> list[Any]:
    """Return all that *anchors* lead to and that is not among the *reached*."""
    seen, below = set(), []
    for anchor in anchors:
        if id(anchor) not in seen and not walker.is_leaf(anchor):
            seen.add(id(anchor))
            below.append(anchor)
    for value in below:
        for each in get_referents(value):
            if id(each) not in seen and id(each) not in reached and not walker.is_leaf(each):
                seen.add(id(each))
                below.append(each)
    return below


def _as_json(namer: PathNamer, group: _Group, size_bytes: int | None) -> dict[str, Any]:
    site = namer.site_on(group.path)
    return {
        "serials": group.serials,
        "path": group.path.lines,
        "holder": group.path.holder,
        "site": site and [site.file, site.line, site.function, site.how],
        "emitter": group.emitter,
        "harmless": group.harmless,
        "size_bytes": size_bytes,
    }
