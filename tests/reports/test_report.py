"""The report."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.registry import RouteRecord
from leakguard.core.site import Site
from leakguard.core.suspect import Amount, RouteShare, Suspect
from leakguard.reports.report import NOT_KNOWN, Report, route_rows

FIELDS = [
    "version", "process", "trend", "routes", "suspects", "listeners", "connections", "resources",
    "overhead", "errors",
]  # fmt: skip


def record_of(route="/a", **counts):
    record = RouteRecord("GET", route)
    for name, value in counts.items():
        setattr(record, name, value)
    return record


def suspect_of(*shares, size_bytes=100.0, state="confirmed"):
    return Suspect(
        id="0815",
        state=state,
        kind="listener",
        routes=tuple(RouteShare(route, "GET", share) for route, share in shares),
        holder="shop.hub",
        path=("shop.hub: Hub",),
        per_request=Amount(1.0, size_bytes),
        total=Amount(9, 900),
        how="exact",
        sites=(Site("/srv/shop.py", 5, "buy", "call"),),
        first_seen=1.0,
        last_seen=2.0,
        evidence=("seen",),
        advice="Mend it.",
    )


@pytest.fixture
def report():
    return Report(
        process={"pid": 1},
        trend={"state": NOT_KNOWN},
        routes=route_rows([record_of(requests=4)], {}, ()),
        suspects=(suspect_of(("/a", 1.0)),),
        listeners=({"event": "tick", "site": None},),
        connections=(),
        resources={"fds": 3},
        overhead={"libraries": ("pyee",)},
        errors={"counts": {}},
    )


def test_report_has_its_fields_and_version(report):
    """
    The document is versioned, and its fields are those of version 1, in their order.
    """
    plain = report.to_dict()

    assert list(plain) == FIELDS
    assert plain["version"] == 1


def test_report_is_plain_values(report):
    """
    What `to_dict` gives is what its JSON gives back.
    """
    plain = report.to_dict()

    assert json.loads(report.to_json()) == plain
    assert plain["overhead"] == {"libraries": ["pyee"]}


def test_suspect_is_written_out(report):
    """
    A suspect has the fields that readers rely on.
    """
    (suspect,) = report.to_dict()["suspects"]

    assert set(suspect) >= {
        "id", "state", "kind", "routes", "holder", "path", "per_request", "total", "sites",
        "first_seen", "last_seen", "evidence", "advice",
    }  # fmt: skip
    assert suspect["routes"] == [{"route": "/a", "method": "GET", "share": 1.0}]
    assert suspect["per_request"] == {"count": 1.0, "bytes": 100.0}
    assert suspect["sites"] == [
        {"file": "/srv/shop.py", "line": 5, "function": "buy", "how": "call"}
    ]


def test_route_without_measurements_is_not_known():
    """
    What was not measured has no figure, and says so.
    """
    (row,) = route_rows([record_of()], {}, ())

    assert (row.objects_per_request, row.blocks_per_request, row.bytes_per_request) == (
        None,
        None,
        None,
    )
    assert row.exclusive_share is None
    assert row.handler is None
    for name in ("objects_per_request", "blocks_per_request", "bytes_per_request"):
        assert row.how[name] == NOT_KNOWN


def test_figures_of_undisturbed_requests_say_so():
    """
    Where requests were measured alone, only those count.
    """
    record = record_of(requests=10, exclusive=4, objects=8, measured=10, objects_all=99,
                       blocks=9, blocks_sampled=3, retained=2, listeners=1)  # fmt: skip
    record.handler = Site("/srv/shop.py", 5, "buy", "handler")

    (row,) = route_rows([record], {record: 3}, ())

    assert (row.objects_per_request, row.how["objects_per_request"]) == (2.0, "undisturbed")
    assert (row.blocks_per_request, row.how["blocks_per_request"]) == (3.0, "undisturbed, sampled")
    assert (row.exclusive_share, row.in_flight) == (0.4, 3)
    assert (row.retained_requests, row.listeners_unreleased) == (2, 1)
    assert row.handler == "/srv/shop.py:5 in buy"


def test_figures_of_disturbed_requests_are_estimates():
    """
    Where no request was alone, all count, and the figure says so.
    """
    record = record_of(requests=10, measured=10, objects_all=99)

    (row,) = route_rows([record], {}, ())

    assert (row.objects_per_request, row.how["objects_per_request"]) == (9.9, "estimated")


def test_bytes_are_what_the_suspects_of_a_route_keep():
    """
    Each route has its share of each living suspect that was measured.
    """
    records = [record_of("/a"), record_of("/b"), record_of("/c")]
    suspects = [
        suspect_of(("/a", 0.75), ("/b", 0.25)),
        suspect_of(("/a", 1.0), size_bytes=10.0, state="suspect"),
        suspect_of(("/c", 1.0), state="resolved"),
        suspect_of(("/c", 1.0), size_bytes=None),
    ]

    rows = {row.route: row.bytes_per_request for row in route_rows(records, {}, suspects)}

    assert rows == {"/a": 85.0, "/b": 25.0, "/c": None}


@given(st.lists(st.integers(0, 100), max_size=10))
def test_most_used_routes_come_first(requests):
    """
    Every route has a row, ordered by requests.
    """
    records = [record_of(f"/{number}", requests=each) for number, each in enumerate(requests)]

    rows = route_rows(records, {}, ())

    assert [row.requests for row in rows] == sorted(requests, reverse=True)
    assert {row.route for row in rows} == {record.route for record in records}
