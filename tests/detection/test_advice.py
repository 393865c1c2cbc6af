"""What to do about a suspect."""

import pytest

from leakguard.core.registry import RouteRecord
from leakguard.core.suspect import Observation
from leakguard.detection.advice import advice_for


def seen(kind="retained_request", holder="shop.hub", path=()):
    return Observation(
        kind=kind,
        signature=path,
        record=RouteRecord("GET", "/a"),
        count=3,
        size_bytes=None,
        holder=holder,
        path=path,
        sites=(),
    )


@pytest.mark.parametrize(
    ("observation", "advice"),
    [
        pytest.param(seen("listener"), "adds a listener to shop.hub", id="listener"),
        pytest.param(
            seen(holder="threading._active"), "A thread or a threading.Timer", id="thread"
        ),
        pytest.param(seen(path=("shop.it: set", "[*]: Task")), "A task outlives", id="task"),
        pytest.param(seen(path=("a: list", "[*]: coroutine f")), "A task outlives", id="coroutine"),
        pytest.param(seen(path=("a: list", "[*]: TimerHandle")), "A timer outlives", id="timer"),
        pytest.param(
            seen(path=("a: Loop", "._scheduled: list", "[*]: TimerHandle", "[*]: Task")),
            "A task outlives",
            id="sleeping-task",
        ),
        pytest.param(
            seen(path=("shop.hub: _lru_cache_wrapper",)), "shop.hub caches by", id="cache"
        ),
        pytest.param(
            seen(path=("a: list", "[*]: async generator f")), "never closed", id="async-generator"
        ),
        pytest.param(seen(path=("a: list", "[*]: generator f")), "never closed", id="generator"),
        pytest.param(seen(path=("a: list", "[*]: function f")), "keeps a function", id="function"),
        pytest.param(seen(path=("a: list", "[*]: method C.f")), "keeps a function", id="method"),
        pytest.param(seen(path=("shop.hub: dict",)), "keeps requests that are over", id="plain"),
    ],
)
def test_advice_fits_what_holds_the_request(observation, advice):
    """
    Each kind of holder has one sentence that tells what to do.
    """
    text = advice_for(observation)

    assert advice in text
    assert text.endswith(".")
