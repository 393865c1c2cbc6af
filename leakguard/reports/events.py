"""Say what happened: structlog events, where and how the service logs already."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog

NAME = "leakguard"


class Events:
    """
    Log events under the name `leakguard`.

    Where the service has configured structlog, its configuration is used. Where it has configured
    the root logger of `logging`, events go there, as `event key=value` with the keys as `extra`
    under `leakguard`. Where it has done neither, they go to standard error from level info on:
    as lines for people if that is a terminal, else as JSON. Nothing global is configured here.
    """

    def __init__(self) -> None:
        self._own: Any = None
        self._failed = 0

    def failures(self) -> dict[str, int]:
        """Return how many events could not be logged, under `logs`, if any."""
        return {"logs": self._failed} if self._failed else {}

    def __call__(self, level: str, event: str, **keys: object) -> None:
        """Log *event* at *level*, one of `debug`, `info`, `warning`, `error`; never raises."""
        try:
            self._say(level, event, keys)
        except Exception:  # the service's own processors and handlers run here
            self._failed += 1

    def _say(self, level: str, event: str, keys: dict[str, object]) -> None:
        if structlog.is_configured():
            getattr(_bound(), level)(event, **keys)
        elif logging.root.handlers:
            number = logging.getLevelNamesMapping()[level.upper()]
            logging.getLogger(NAME).log(number, "%s", _Line(event, keys), extra={NAME: keys})
        elif level != "debug":
            getattr(self._fallback(), level)(event, **keys)

    def wants_debug(self) -> bool:
        """Tell whether events at level debug would be seen; costs too much for every request."""
        if structlog.is_configured():
            bound = _bound()
            for name in ("is_enabled_for", "isEnabledFor"):
                with suppress(AttributeError):  # a logger without levels sees everything
                    return bool(getattr(bound, name)(logging.DEBUG))
            return True
        return bool(logging.root.handlers) and logging.getLogger(NAME).isEnabledFor(logging.DEBUG)

    def _fallback(self) -> Any:
        if self._own is None:
            terminal = sys.stderr.isatty()
            self._own = structlog.wrap_logger(
                structlog.WriteLogger(sys.stderr),
                processors=[
                    structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    _event_first,
                    structlog.dev.ConsoleRenderer(colors=terminal)
                    if terminal
                    else structlog.processors.JSONRenderer(default=str),
                ],
                wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
                cache_logger_on_first_use=False,
            )
        return self._own


def _bound() -> Any:
    """Return the service's logger; of an asynchronous one, the synchronous one inside."""
    try:
        bound = structlog.get_logger(NAME).bind()
    except RuntimeError:  # an asynchronous one cannot be had where no event loop runs
        logger = structlog.get_config()["logger_factory"](NAME)
        return structlog.wrap_logger(logger, wrapper_class=structlog.stdlib.BoundLogger)
    return getattr(bound, "sync_bl", bound)


def _event_first(_logger: Any, _method: str, keys: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put what a reader looks for first at the beginning of the line."""
    first = {name: keys.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **keys}


class _Line:
    """An event and its keys, written out only if a handler wants the text."""

    def __init__(self, event: str, keys: dict[str, object]) -> None:
        self._event = event
        self._keys = keys

    def __str__(self) -> str:
        return " ".join((self._event, *(f"{key}={value!r}" for key, value in self._keys.items())))
