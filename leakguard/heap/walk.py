"""One pass over the heap, forward from its roots, breadth first."""

import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from gc import get_referents
from typing import Any

_CHECK_EVERY = 2048


@dataclass(frozen=True, slots=True)
class Root:
    """Where a walk starts: an object, and the name under which a developer knows it."""

    name: str
    value: Any


@dataclass(slots=True)
class Walk:
    """
    What a walk reached, in the order in which it did.

    `parents[i]` is the index of the object through which object `i` was reached first, or
    `-1 - r` where it is root `r` itself. From index `harmless_from` on, objects were reached only
    through references that are known to do no harm. `complete` is false if time ran out.
    """

    roots: list[Root]
    objects: list[Any]
    parents: "array[int]"
    harmless_from: int
    complete: bool


class Walker:
    """
    Walk from *roots*, the shortest way first, references known to be harmless last.

    A walk runs no code of the objects it meets: `id`, `type` and `gc.get_referents` are all it
    calls. It holds every object it meets until it is dropped itself. It takes about 1 us and
    100 bytes an object.

    The method, a breadth-first search whose deferred references are expanded last, so that a
    second and real holder wins, is that of LeakCanary's Shark.

    Args:
        roots: Where to start.
        last_roots: Where to start once all that is reachable from *roots* is done.
        harmless_roots: Where to start last; what only they reach is held without harm.
        skip: Objects (by identity) that are not there: neither reached nor expanded.
        leaves: Types (by identity) whose instances are reached, but not expanded.
        harmless: Types (by identity) whose instances are expanded last, as harmless holders.
        harmless_if: The same for the instances of a type for which a function says so.
    """

    def __init__(
        self,
        roots: Sequence[Root],
        *,
        last_roots: Sequence[Root] = (),
        harmless_roots: Sequence[Root] = (),
        skip: Iterable[int] = (),
        leaves: Iterable[int] = (),
        harmless: Iterable[int] = (),
        harmless_if: Mapping[int, Callable[[Any], bool]] | None = None,
    ) -> None:
        self._roots = (list(roots), list(last_roots), list(harmless_roots))
        self.skip = frozenset(skip)
        self._leaves = frozenset(leaves)
        self._harmless: dict[int, Callable[[Any], bool]] = {
            **dict.fromkeys(harmless, _always),
            **(harmless_if or {}),
        }

    def is_leaf(self, value: Any) -> bool:
        """Tell whether *value* is not looked into."""
        return id(type(value)) in self._leaves

    def walk(
        self,
        *,
        without: Iterable[int] = (),
        frames: bool = True,
        budget_s: float | None = None,
    ) -> Walk:
        """
        Walk once.

        Args:
            without: Further objects (by identity) to leave out, with all that only they reach.
            frames: Start from *last_roots*, too.
            budget_s: Time after which to stop, incomplete.
        """
        seen = set(self.skip)
        seen.update(without)
        first, then, harmless = self._roots
        then = then if frames else []
        result = Walk([*first, *then, *harmless], [], array("q"), 0, True)
        deadline = None if budget_s is None else time.perf_counter() + budget_s
        deferred: list[tuple[Any, int]] = []
        self._start(result, 0, len(first), seen)
        at = self._expand(result, 0, seen, deferred, deadline)
        self._start(result, len(first), len(first) + len(then), seen)
        at = self._expand(result, at, seen, deferred, deadline)
        result.harmless_from = len(result.objects)
        self._start(result, len(first) + len(then), len(result.roots), seen)
        for value, parent in deferred:
            result.objects.append(value)
            result.parents.append(parent)
        self._expand(result, at, seen, None, deadline)
        return result

    def _start(self, result: Walk, begin: int, end: int, seen: set[int]) -> None:
        for number in range(begin, end):
            value = result.roots[number].value
            if id(value) not in seen:
                seen.add(id(value))
                result.objects.append(value)
                result.parents.append(-1 - number)

    def _expand(
        self,
        result: Walk,
        at: int,
        seen: set[int],
        deferred: list[tuple[Any, int]] | None,
        deadline: float | None,
    ) -> int:
        """Expand the objects from index *at* on, and those they lead to; return where it ended."""
        objects, leaves, harmless = result.objects, self._leaves, self._harmless
        append, parent_of, add = objects.append, result.parents.append, seen.add
        index = at
        # The list grows while it is gone through: that is the queue of the search.
        while index < len(objects):
            if deadline is not None and index % _CHECK_EVERY == 0 and _past(deadline):
                result.complete = False
                break
            value = objects[index]
            if id(type(value)) not in leaves:
                for each in get_referents(value):
                    key = id(each)
                    if key not in seen:
                        add(key)
                        is_harmless = harmless.get(id(type(each)))
                        if is_harmless is not None and deferred is not None and is_harmless(each):
                            deferred.append((each, index))
                        else:
                            append(each)
                            parent_of(index)
            index += 1
        return index


def _always(_value: Any) -> bool:
    return True


def _past(deadline: float) -> bool:
    return time.perf_counter() >= deadline
