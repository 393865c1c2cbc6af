"""leakguard's own errors."""

from concurrent.futures import ThreadPoolExecutor

from leakguard.core.faults import Faults


def test_each_kind_of_error_is_said_once(log):
    """
    The same part failing in the same way again is only counted.
    """
    faults = Faults(max_errors=10, log=log)

    for error in (ValueError(), ValueError(), KeyError()):
        faults.count("walk", error)

    assert log.events == ["part_failed", "part_failed"]
    assert [keys["error"] for _, _, keys in log.lines] == ["ValueError", "KeyError"]
    assert faults.counts() == {"walk": 3}


def test_part_is_switched_off_after_a_few_errors(log):
    """
    A part that keeps failing is switched off, once; others go on.
    """
    faults = Faults(max_errors=2, log=log)

    faults.count("passes", KeyError())
    for _ in range(4):
        faults.count("walk", ValueError())

    assert faults.off == {"walk"}
    assert log.events.count("part_switched_off") == 1


def test_place_of_the_error_is_said_and_its_message_is_not(log):
    """
    A message may have contents of the service in it; file, line and function have not.
    """
    faults = Faults(max_errors=2, log=log)

    def fails():
        raise ValueError("hush")

    try:
        fails()
    except ValueError as error:
        faults.count("walk", error)
    faults.count("walk", KeyError("hush"))

    (_, _, first), (_, _, second), _ = log.lines
    assert first["site"].endswith("in " + fails.__qualname__)
    assert second["site"] is None
    assert "hush" not in repr(log.lines)


def test_errors_of_many_threads_are_all_counted(log):
    """
    Counts hold under concurrency, and the part is switched off once.
    """
    faults = Faults(max_errors=3, log=log)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: faults.count("walk", ValueError()), range(400)))

    assert faults.counts() == {"walk": 400}
    assert sorted(log.events) == ["part_failed", "part_switched_off"]
