"""Walk from a few roots and name what is found."""

from leakguard.heap.path import PathNamer
from leakguard.heap.roots import hidden
from leakguard.heap.walk import Root, Walker


def index_of(walk, value):
    """Return the index of an object in a walk; fail if it was not reached."""
    return next(index for index, each in enumerate(walk.objects) if each is value)


def walk_from(value, name="shop.it", **options):
    """Walk from an attribute of a module `shop`."""
    module, _, attribute = name.rpartition(".")
    return Walker([Root(module, {attribute: value})], skip=hidden(), **options).walk()


def lines_to(kept, value):
    """Return the named path from `shop.it` to an object that *value* holds, that included."""
    walk = walk_from(value)
    return PathNamer(walk).path_to(index_of(walk, kept), inclusive=True).lines


def path_to(kept, value):
    """Return the path to what holds an object."""
    walk = walk_from(value)
    namer = PathNamer(walk)
    return namer, namer.path_to(index_of(walk, kept))
