"""
Where `LEAKGUARD_TESTS_NO_SKIP` is set, as in CI, a test that is skipped fails instead.

`LEAKGUARD_TESTS_MAY_SKIP` names what may be missing all the same.
"""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip into a failure that says why it would have been skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        allowed = os.environ.get("LEAKGUARD_TESTS_MAY_SKIP")
        if allowed and allowed in reason.lower():
            return report
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {reason}"
    return report


def enabled() -> bool:
    """Tell whether skips are failures here."""
    return os.environ.get("LEAKGUARD_TESTS_NO_SKIP") == "1"
