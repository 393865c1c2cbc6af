"""A place in source code."""

import sysconfig
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any


@dataclass(frozen=True, slots=True)
class Site:
    """
    Name a file, a line and a function.

    `how` tells what the place is: `call` (the call that did it), `holder` (code that is on the
    path to what is kept) or `handler` (the route's own function, where nothing nearer is known).
    """

    file: str
    line: int
    function: str
    how: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


_LIBRARY = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))


def is_library(file: str) -> bool:
    """Tell whether a file belongs to an installed package or the standard library."""
    installed = "site-packages" in file or "dist-packages" in file
    return installed or file.startswith((*_LIBRARY, "<frozen"))


def site_of_code(code: CodeType, how: str, line: int | None = None) -> Site:
    """Return where *code* stands, at its first line or at *line*."""
    return Site(code.co_filename, line or code.co_firstlineno, code.co_qualname, how)


def site_of_function(function: Any, how: str) -> Site | None:
    """Return where a plain function or method stands; `None` for other callables."""
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is FunctionType:
        return site_of_code(function.__code__, how)
    return None
