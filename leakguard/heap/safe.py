"""Look at objects of others without running a line of their code."""

from gc import get_referents
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

_RUNNING = (
    (CoroutineType, "coroutine"),
    (GeneratorType, "generator"),
    (AsyncGeneratorType, "async generator"),
)
_mro = type.__dict__["__mro__"].__get__
_namespace = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module_dict = vars(ModuleType)["__dict__"].__get__


def mro_of(kind: type) -> tuple[type, ...]:
    """Return the classes that *kind* inherits from, itself first."""
    return _mro(kind)  # type: ignore[no-any-return]


def namespace_of(kind: type) -> MappingProxyType[str, Any]:
    """Return the attributes of a class, as its metaclass cannot hide them."""
    return _namespace(kind)  # type: ignore[no-any-return]


def type_name(kind: type) -> str:
    """Return a class's qualified name."""
    return _plain(_qualname(kind))


def _plain(name: Any) -> str:
    """Return a name without the code that a subclass of `str` would run when it is printed."""
    return str.__str__(name) if derives_from(type(name), str) else "?"


def type_module(kind: type) -> str:
    """Return the name of the module that a class says it is from."""
    module = namespace_of(kind).get("__module__")
    return module if type(module) is str else "builtins"


def dotted_type_name(kind: type) -> str:
    """Return a class's full name, without the module where it is a built-in one."""
    module = type_module(kind)
    return type_name(kind) if module == "builtins" else f"{module}.{type_name(kind)}"


def derives_from(kind: type, base: type) -> bool:
    """Tell whether *kind* is *base* or inherits from it, by identity."""
    return any(each is base for each in mro_of(kind))


def is_module(value: Any) -> bool:
    """Tell whether *value* is a module, or of a class derived from modules."""
    return derives_from(type(value), ModuleType)


def is_code(value: Any) -> bool:
    """Tell whether *value* is a function, a class or a module: code, no data."""
    kind = type(value)
    return (
        kind is FunctionType or kind is MethodType or derives_from(kind, type) or is_module(value)
    )


def module_dict(module: Any) -> dict[str, Any]:
    """Return the globals of a module."""
    return _module_dict(module)  # type: ignore[no-any-return]


def instance_dict(value: Any) -> dict[str, Any] | None:
    """
    Return the `__dict__` of an instance, where it has a true one.

    On CPython 3.11 and 3.12 this makes inline attributes a dict for good, so call it in a child,
    or for few objects.
    """
    for kind in mro_of(type(value)):
        descriptor = namespace_of(kind).get("__dict__")
        if type(descriptor) is GetSetDescriptorType:
            try:
                found = descriptor.__get__(value)
            except (AttributeError, TypeError):
                continue
            if type(found) is dict:
                return found
    return None


def member_holding(value: Any, child: Any) -> str | None:
    """Return the name of the slot or C-level member of *value* that holds *child*."""
    for kind in mro_of(type(value)):
        for name, descriptor in list(namespace_of(kind).items()):
            if type(descriptor) is MemberDescriptorType:
                try:
                    if descriptor.__get__(value) is child:
                        return name
                except (AttributeError, TypeError):  # an empty slot
                    continue
    return None


def key_holding(mapping: dict[Any, Any], child: Any) -> str | None:
    """Return the text key under which *mapping* holds *child*."""
    # A copy, as inline other threads go on writing to it.
    for key, value in list(dict.items(mapping)):
        if value is child and type(key) is str:
            return key
    return None


def _callback(handle: Any) -> str:
    """Name what a handle of an event loop will call, which tells timers apart."""
    for each in get_referents(handle):
        kind = type(each)
        if kind is FunctionType or kind is MethodType or kind is BuiltinFunctionType:
            return f"{type_name(type(handle))} of {label(each)}"
    return type_name(type(handle))


def label(value: Any) -> str:
    """Name an object by its type, and code by its own name; never by its contents."""
    kind = type(value)
    if kind is FunctionType:
        return f"function {_plain(value.__qualname__)}"
    if kind is BuiltinFunctionType:
        return f"builtin {value.__name__}"
    if kind is MethodType and type(value.__func__) is FunctionType:
        return f"method {_plain(value.__func__.__qualname__)}"
    if derives_from(kind, type):
        return f"class {type_name(value)}"
    for each, word in _RUNNING:
        if kind is each:
            return f"{word} {_plain(value.__qualname__)}"
    name = type_name(kind)
    return _callback(value) if name == "Handle" or name == "TimerHandle" else name
