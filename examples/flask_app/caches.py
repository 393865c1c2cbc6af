"""A cache without a bound, on a method: it keeps every object that the method was called on."""

from functools import cache, cached_property
from typing import Any

from flask import Blueprint, request

pages = Blueprint("caches", __name__, url_prefix="/caches")


@pages.get("/leaky")
def leaky() -> dict[str, str]:
    return {"language": CachedVisitor(request.environ).language()}


@pages.get("/mended")
def mended() -> dict[str, str]:
    return {"language": Visitor(request.environ).language}


class CachedVisitor:
    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ

    # `self` is the key, in a cache of the class: no visitor is ever let go, nor its environ.
    @cache  # noqa: B019 - that is the leak
    def language(self) -> str:
        return self.environ.get("HTTP_ACCEPT_LANGUAGE", "en")[:2]


class Visitor:
    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ

    # Kept on the object, and gone with it.
    @cached_property
    def language(self) -> str:
        return self.environ.get("HTTP_ACCEPT_LANGUAGE", "en")[:2]
