"""Only those who are let in see anything."""

import asyncio
import functools
import json
import logging
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from leakguard import ConfigError, LeakGuard
from leakguard.core.config import Secret
from leakguard.endpoints.auth import Gate

from ..exchanges import http_scope, said
from .conftest import TOKEN

URL = "/debug/snapshots"


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gate(clock):
    """Return a gate with a token and a clock of its own."""
    return Gate(
        tokens=[Secret(TOKEN)], authorize=None, allow=(), max_failures=10, clock=clock,
        on_error=lambda error: None,
    )  # fmt: skip


def status(gate, token=None, address="192.0.2.1"):
    """Return the status of a gate's refusal, and when to come again; `None` where it lets in."""
    headers = [(b"authorization", f"Bearer {token}".encode())] if token is not None else []
    request = Request(http_scope(headers=headers, client=(address, 1) if address else None))
    refusal = asyncio.run(gate.refusal(request, resolve=lambda answer: answer))
    if refusal is None:
        return None
    return refusal.status_code, refusal.headers.get("retry-after")


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer   {TOKEN}  ",
    ],
)
def test_valid_token_opens(client, authorization):
    """
    The scheme is read in any case, and blanks around the token do not count (RFC 9110).
    """
    assert client(URL, authorization=authorization.encode()).status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        TOKEN.encode(),
        f"Basic {TOKEN}".encode(),
        f"BearerX {TOKEN}".encode(),
        f"Bearer {TOKEN}x".encode(),
        f"Bearer {TOKEN[:-1]}".encode(),
        f"Bearer {TOKEN} {TOKEN}".encode(),
        f"Bearer {TOKEN.upper()}".encode(),
        "Bearer ☃".encode(),
        b"Bearer \xff\xfe\x80",
        b"\xff\xfe " + TOKEN.encode(),
    ],
    ids=ascii,
)
def test_anything_else_is_refused(client, authorization):
    """
    Whatever is no valid token is answered 401, with a challenge.
    """
    reply = client(URL, token=None, authorization=authorization)

    assert reply.status == 401
    challenge = reply.header("www-authenticate")
    assert challenge.startswith('Bearer realm="leakguard"')
    assert ('error="invalid_token"' in challenge) == bool(authorization)
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-content-type-options") == "nosniff"
    assert json.loads(reply.body)["status"] == 401


@pytest.mark.parametrize("path", ["/debug/memory", "/debug/snapshot", "/debug/nothing/../memory"])
def test_nothing_is_told_to_those_outside(client, path):
    """
    Without a token every one of leakguard's URLs answers the same, whatever there is.
    """
    reply = client(path, token=None)

    assert reply.status in (401, 299)
    assert b"rss" not in reply.body


def test_unknown_pages_are_not_told_from_known_ones(client):
    """
    An id that is kept and one that is not look the same from outside.
    """
    taken = client.guard.snapshot()

    known, unknown = (client(f"/debug/snapshots/{each}", token=None) for each in (taken.id, "x"))

    assert known == unknown


def test_several_tokens_open_during_a_rotation(clients):
    """
    Each of several tokens is valid, and no other.
    """
    client = clients(token=["old-token", "new-token"])

    assert [client(URL, token=each).status for each in ("old-token", "new-token", "other")] == [
        200, 200, 401,
    ]  # fmt: skip


def test_tokens_are_read_from_the_environment(clients, monkeypatch):
    """
    `LEAKGUARD_TOKEN` holds tokens separated by commas; a keyword wins over it.
    """
    monkeypatch.setenv("LEAKGUARD_TOKEN", "from-env, second")
    guard = LeakGuard(monitor=False)
    guard.close()

    assert [each.reveal() for each in guard.config.token] == [b"from-env", b"second"]


@pytest.mark.parametrize("token", ["tökén-☃", "with blank"])
def test_token_of_any_text_opens(clients, token):
    """
    A token beyond ASCII, sent as UTF-8, opens.
    """
    client = clients(token=token)

    assert client(URL, authorization=b"Bearer " + token.encode()).status == 200


def test_token_read_from_a_file_opens(clients):
    """
    The line end of a secret that was read from a file is no part of it.
    """
    client = clients(token="from-a-file\n")

    assert client(URL, token="from-a-file").status == 200


def sync_answer(answer, request):
    return answer


async def async_answer(answer, request):
    await asyncio.sleep(0)
    return answer


@pytest.mark.parametrize("kind", [sync_answer, async_answer])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [(True, 200), (False, 401), (None, 401), (1, 401), ("yes", 401), ([True], 401)],
)
def test_authorizer_lets_in_with_true_alone(clients, kind, answer, expected):
    """
    A sync or async authorizer opens with `True`; what is merely truthy does not.
    """
    client = clients(token=None, authorize=functools.partial(kind, answer))

    assert client(URL, token=None).status == expected


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_authorizer_that_fails_refuses(clients, caplog, is_async):
    """
    An authorizer that raises lets nobody in; its error is counted and said without its text.
    """

    def fail(request):
        raise LookupError("secret detail")

    async def fail_later(request):
        fail(request)

    client = clients(token=None, authorize=fail_later if is_async else fail)

    reply = client(URL, token=None)

    assert reply.status == 401
    assert client.guard.report().errors["counts"] == {"authorize": 1}
    (line,) = said(caplog, "part_failed")
    assert (line["part"], line["error"]) == ("authorize", "LookupError")
    assert "secret detail" not in caplog.text


def test_authorizer_sees_the_request(clients):
    """
    The authorizer gets the request, with its path, its headers and its address.
    """
    seen = []

    def authorize(request):
        seen.append((request.url.path, request.headers.get("authorization"), request.client.host))
        return True

    clients(token=None, authorize=authorize)(URL, token="theirs")

    assert seen == [(URL, "Bearer theirs", "192.0.2.1")]


def test_token_or_authorizer_is_enough(clients):
    """
    Where both are set, either opens, and a valid token does not trouble the authorizer.
    """
    asked = []

    def authorize(request):
        asked.append(True)
        return request.headers.get("authorization") == "Bearer by-hand"

    client = clients(authorize=authorize)

    assert client(URL).status == 200
    assert asked == []
    assert client(URL, token="by-hand").status == 200
    assert client(URL, token="neither").status == 401


@pytest.mark.parametrize(
    ("allow", "address", "expected"),
    [
        (["10.0.0.0/8"], "10.1.2.3", 200),
        (["10.0.0.0/8"], "11.1.2.3", 403),
        (["10.0.0.0/8", "192.0.2.7"], "192.0.2.7", 200),
        (["::1"], "::1", 200),
        (["2001:db8::/32"], "2001:db8::7", 200),
        (["2001:db8::/32"], "2001:db9::7", 403),
        (["fe80::/10"], "fe80::1%eth0", 200),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", 200),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", 403),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3", 200),
        (["10.0.0.0/8"], "", 403),
        (["10.0.0.0/8"], "unix:/run/app.sock", 403),
        ([], "", 200),
    ],
)
def test_allow_opens_to_networks_alone(clients, allow, address, expected):
    """
    With `allow` only these networks may ask at all, of either version and mapped ones included.
    """
    reply = clients(allow=allow)(URL, address=address)

    assert reply.status == expected


def test_address_outside_is_refused_before_its_token_is_looked_at(clients):
    """
    403 does not tell whether the token was right, and counts as no failure.
    """
    client = clients(allow=["10.0.0.0/8"], max_auth_failures=1)

    replies = [client(URL, token=each) for each in (TOKEN, "wrong", "wrong")]

    assert {reply.status for reply in replies} == {403}
    assert len({reply.body for reply in replies}) == 1


def test_ten_failures_make_an_address_wait(client):
    """
    After ten failures an address is answered 429, even with the right token; others are not.
    """
    statuses = [client(URL, token=f"wrong-{number}").status for number in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    waiting = client(URL)
    assert waiting.status == 429
    assert 0 < int(waiting.header("retry-after")) <= 60
    assert waiting.header("cache-control") == "no-store"
    assert client(URL, address="192.0.2.2").status == 200


def test_waiting_ends_with_the_minute(gate, clock):
    """
    A minute after the failures the address may try again, and succeed.
    """
    for _ in range(10):
        assert status(gate, "wrong") == (401, None)
        clock.now += 1
    assert status(gate, TOKEN) == (429, "51")

    clock.now += 49.5
    assert status(gate, TOKEN) == (429, "1")
    clock.now += 0.5

    assert status(gate, TOKEN) is None
    assert status(gate, "wrong") == (401, None)
    assert status(gate, "wrong")[0] == 429


def test_slow_failures_never_make_an_address_wait(gate, clock):
    """
    Nine failures a minute are no attack, however long they go on.
    """
    for _ in range(100):
        assert status(gate, "wrong") == (401, None)
        clock.now += 60 / 9

    assert status(gate, TOKEN) is None


def test_success_does_not_wipe_out_failures(gate):
    """
    A valid token in between does not give an address ten more guesses.
    """
    for _ in range(9):
        status(gate, "wrong")
    assert status(gate, TOKEN) is None

    status(gate, "wrong")

    assert status(gate, "wrong")[0] == 429


def test_requests_without_an_address_share_one_count(gate):
    """
    Behind a Unix socket all clients are one, and the limit holds for them together.
    """
    for _ in range(10):
        status(gate, "wrong", address=None)

    assert status(gate, TOKEN, address=None)[0] == 429
    assert status(gate, TOKEN) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 30)), max_size=50))
def test_table_of_addresses_is_bounded(tries):
    """
    However many addresses fail, and in whatever order, few of them are kept.
    """
    clock = Clock()
    gate = Gate(
        tokens=[Secret(TOKEN)], authorize=None, allow=(), max_failures=3, clock=clock,
        on_error=lambda error: None,
    )  # fmt: skip
    for number in range(1000):
        gate._fail(f"first-{number}")

    for number, passed_s in tries:
        clock.now += passed_s
        gate._fail(f"10.0.{number >> 8}.{number & 255}")

    assert len(gate._failures) <= 1000
    assert sum(map(len, gate._failures.values())) <= 1000 + len(tries)


def test_failures_of_one_address_are_bounded(gate, clock):
    """
    What is kept of an address is what counts in the last minute.
    """
    for _ in range(500):
        gate._fail("192.0.2.1")
        clock.now += 1

    assert len(gate._failures["192.0.2.1"]) <= 61


def test_token_appears_nowhere(clients, caplog, capsys):
    """
    Neither the configured nor a sent token is in a log line, a repr, an answer or an error.
    """
    caplog.set_level(logging.DEBUG)
    client = clients()
    sent = "sent-by-an-attacker"

    replies = [
        client(URL, token=sent),
        client(URL),
        client(URL, query="x=1"),
        client("/debug/memory"),
        client("/debug/snapshot"),
    ]
    client.guard.analyze()

    texts = [
        caplog.text, *capsys.readouterr(), repr(client.guard), repr(client.guard.config),
        str(client.guard.config.token), client.guard.report().to_json(), repr(replies),
        repr(vars(client.guard.door)),
    ]  # fmt: skip
    assert not [text for text in texts if TOKEN in text or sent in text]


@pytest.mark.parametrize("token", [[TOKEN, ""], [TOKEN, 7], {TOKEN: 1}, [], 7])
def test_bad_token_is_refused_without_being_repeated(token):
    """
    An error about tokens says what is allowed, and shows none.
    """
    with pytest.raises(ConfigError, match=r"^token must be ") as caught:
        LeakGuard(token=token)

    assert TOKEN not in "".join(traceback.format_exception_only(caught.value))
