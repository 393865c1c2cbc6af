"""Name the way from a root to what is kept."""

from dataclasses import dataclass
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
)
from typing import Any

from ..core.site import Site, is_library, site_of_code
from .edge import Step, edge_at
from .safe import label
from .walk import Walk

_MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class Path:
    """
    A named chain of references, indices and keys collapsed to `[*]`.

    `steps` starts with the root and ends with what holds the object that was asked for. `nodes`
    are the indices, in the walk, of the objects passed, that object included.
    """

    steps: tuple[Step, ...]
    nodes: tuple[int, ...]
    first_element: int
    """The first node below an index or a key, or the last node where there is none."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the steps as text: what is the same for all paths of one kind."""
        return tuple(map(str, self.steps))

    @property
    def holder(self) -> str:
        """Return the dotted name of the nearest thing on the path that has one."""
        name = self.steps[0].edge
        for step in self.steps[1:]:
            if not step.edge.startswith("."):
                break
            name += step.edge
        return name


class PathNamer:
    """
    Name paths of one walk. Names of shared beginnings are found once.

    Args:
        walk: The finished walk.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._steps: dict[int, Step | None] = {}

    def nodes_to(self, index: int) -> list[int]:
        """Return the indices of the objects from the root to the one at *index*."""
        nodes = []
        while index >= 0:
            nodes.append(index)
            index = self._walk.parents[index]
        nodes.reverse()
        return nodes

    def path_to(self, index: int, *, inclusive: bool = False) -> Path:
        """Return the named path to the object at *index*, with or without that object itself."""
        nodes = self.nodes_to(index)
        root = self._walk.roots[-1 - self._walk.parents[nodes[0]]]
        steps = [Step(root.name, "module" if type(root.value) is dict else label(root.value))]
        first_element = index
        for place in range(1, len(nodes) if inclusive else len(nodes) - 1):
            step = self._step(nodes, place)
            if step is not None and len(steps) < _MAX_STEPS:
                steps.append(step)
                if step.edge == "[*]" and first_element == index:
                    first_element = nodes[place]
        return Path(tuple(_below_module(steps)), tuple(nodes), first_element)

    def site_on(self, path: Path) -> Site | None:
        """
        Return the code nearest to the kept object that is itself part of the path.

        A library's code is returned only where there is no other.
        """
        library = None
        for index in reversed(path.nodes):
            site = _site_of(self._walk.objects[index])
            if site is not None and not is_library(site.file):
                return site
            library = library or site
        return library

    def _step(self, nodes: list[int], place: int) -> Step | None:
        node = nodes[place]
        if node not in self._steps:
            objects = self._walk.objects
            before = [objects[each] for each in nodes[max(0, place - 3) : place]]
            self._steps[node] = edge_at(before, objects[node])
        return self._steps[node]


def _below_module(steps: list[Step]) -> list[Step]:
    """Write the first attribute below a module as part of the module's name."""
    if len(steps) > 1 and steps[0].to == "module" and steps[1].edge.startswith("."):
        return [Step(steps[0].edge + steps[1].edge, steps[1].to), *steps[2:]]
    return steps


def _site_of(value: Any) -> Site | None:
    """Return where a function is written, or where a coroutine or generator waits."""
    kind = type(value)
    if kind is FunctionType:
        wrapped = value.__dict__.get("__wrapped__")
        function = wrapped if type(wrapped) is FunctionType else value
        return site_of_code(function.__code__, "holder")
    if kind is CoroutineType:
        return _waiting_site(value.cr_code, value.cr_frame)
    if kind is GeneratorType:
        return _waiting_site(value.gi_code, value.gi_frame)
    if kind is AsyncGeneratorType:
        return _waiting_site(value.ag_code, value.ag_frame)
    return None


def _waiting_site(code: CodeType, frame: FrameType | None) -> Site:
    return site_of_code(code, "holder", frame.f_lineno if frame is not None else None)
