"""One sentence on what to do about a suspect."""

from ..core.suspect import Observation


def advice_for(seen: Observation) -> str:
    """Return what to do about what was *seen*, in one sentence."""
    if seen.kind == "listener":
        return (
            f"Each request adds a listener to {seen.holder} and none takes it off: register it "
            "once at start-up, or remove it in a finally block of the request."
        )
    path = " ".join(seen.path)
    if seen.holder.startswith("threading."):
        return (
            "A thread or a threading.Timer outlives its request and keeps it: cancel it in a "
            "finally block of the request, or hand it only the values that it needs."
        )
    if ": Task" in path or "coroutine " in path:
        return (
            "A task outlives its request and keeps it: keep the task and cancel it, or hand it "
            "only the values that it needs."
        )
    if "TimerHandle" in path or "_scheduled" in path:
        return (
            "A timer outlives its request and keeps it: cancel it in a finally "
            "block of the request."
        )
    if "_lru_cache_wrapper" in path:
        return (
            f"{seen.holder} caches by an argument that holds the request: key it by plain values, "
            "or give it a maxsize."
        )
    if "generator " in path:
        return f"{seen.holder} keeps a stream that was never closed: close it in a finally block."
    if "function " in path or "method " in path:
        return (
            f"{seen.holder} keeps a function that remembers its request: hand it plain values, "
            "and take it out when the request ends."
        )
    return (
        f"{seen.holder} keeps requests that are over: take them out in a finally block of the "
        "request, or store only plain values."
    )
