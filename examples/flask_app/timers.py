"""A timer that is not cancelled when what it watches over is done."""

import logging
import threading

from flask import Blueprint, copy_current_request_context, request

pages = Blueprint("timers", __name__, url_prefix="/timers")
log = logging.getLogger(__name__)
HOUR_S = 3600


@pages.get("/leaky")
def leaky() -> dict[str, str]:
    # A thread waits for an hour, with the request in its hands.
    start_timer()
    return ship()


@pages.get("/mended")
def mended() -> dict[str, str]:
    timer = start_timer()
    try:
        return ship()
    finally:
        timer.cancel()


def start_timer() -> threading.Timer:
    """Start a timer that knows the current request, which other threads do not."""
    timer = threading.Timer(HOUR_S, copy_current_request_context(warn_of_delay))
    timer.daemon = True
    timer.start()
    return timer


def ship() -> dict[str, str]:
    return {"state": "shipped"}


def warn_of_delay() -> None:
    log.warning("still not shipped: %s", request.url)
