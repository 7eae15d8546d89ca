"""What the doors decide about one visitor: origins, addresses, places, pace."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from twopass.config import Config, DoorsConfig
from twopass.errors import ForeignOrigin, ProtocolError, TooManySessions, Unauthorized
from twopass.gateway.doors import Doors, Visitor, address_of
from twopass.gateway.keys import KeyFile
from twopass.gateway.pace import Pace

LOCAL = Path(__file__).parents[2] / "configs" / "local.yaml"
FRIEND = "https://friend.example"


def asking(host: str = "here:80", client: str | None = "192.0.2.1", **headers: str) -> HTTPConnection:
    """A request as the server sees it."""
    raw = [(name.encode(), value.encode()) for name, value in ({"host": host} | headers).items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": client and (client, 1)})


def test_old_token_begins_nothing_but_goes_on(tmp_path: Path) -> None:
    """A page whose token has expired may come back to its session, and not begin another one."""
    path = tmp_path / "keys.json"
    _, secret = KeyFile(path).add(name="n", tenant="t", now=datetime.now(UTC))
    doors = Doors(DoorsConfig(keys=path, token_seconds=1))
    token = doors.token(asking(authorization=f"Bearer {secret}"))
    page = asking(**{"sec-websocket-protocol": f"twopass, bearer.{token}"})
    page.scope["subprotocols"] = ["twopass", f"bearer.{token}"]
    while True:
        try:
            doors.check_credential(page)
        except Unauthorized:
            break
        time.sleep(0.1)
    with pytest.raises(Unauthorized), doors.admit(page):
        pytest.fail("it got in")
    with doors.admit(page, going_on=True) as visitor:
        assert "t" == visitor.tenant


@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        (None, "here", True),
        ("http://here", "here", True),
        ("https://here", "here", True),
        ("https://here", "here:443", True),
        ("http://HERE:8765", "here:8765", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("https://friend.example", "here", True),
        ("https://FRIEND.example", "here", True),
        ("http://friend.example", "here", False),
        ("https://friend.example.evil.example", "here", False),
        ("https://evil.example", "here", False),
        ("http://here:81", "here", False),
        ("http://here", "here:8765", False),
        ("http://here@evil.example", "here", False),
        ("http://here:99999", "here", False),
        ("ftp://here", "here", False),
        ("null", "here", False),
        ("null", "null", False),
        ("", "here", False),
        ("http://[", "[", False),
    ],
)
def test_pages_that_may_come(origin: str | None, host: str, welcome: bool) -> None:
    """Programs, our own page and listed sites get in; whatever else a browser calls the page's site does not."""
    doors = Doors(DoorsConfig(origins=(FRIEND,)))
    request = asking(host, **({} if origin is None else {"origin": origin}))
    if welcome:
        with doors.admit(request) as visitor:
            assert (None, None) == (visitor.key, visitor.tenant)
    else:
        with pytest.raises(ForeignOrigin, match="other sites"), doors.admit(request):
            pytest.fail("it was let in")


@given(st.text(), st.text())
def test_no_origin_breaks_the_doors(origin: str, host: str) -> None:
    """Headers are bytes of strangers: they are let in or refused, nothing else happens."""
    raw = [(b"origin", origin.encode()), (b"host", host.encode())]
    request = HTTPConnection({"type": "http", "headers": raw, "client": None})
    with contextlib.suppress(ForeignOrigin), Doors(DoorsConfig()).admit(request):
        pass


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("testclient", "testclient", True),
    ],
)
def test_address_is_a_customer(one: str, other: str, same: bool) -> None:
    """Whoever has a whole network of IPv6 addresses counts once, and IPv4 counts the same on either socket."""
    assert same == (address_of(asking(client=one)) == address_of(asking(client=other)))


def test_places_are_counted_and_given_back() -> None:
    """Each address has its own; what ends makes room, also what ends with an error."""
    doors = Doors(DoorsConfig(connections_per_address=2, sessions_per_address=1))
    with doors.admit(asking()), doors.admit(asking(client="192.0.2.2")):
        with contextlib.suppress(ProtocolError), doors.admit(asking()) as visitor, visitor.place():
            with pytest.raises(TooManySessions, match="2 connections") as caught, doors.admit(asking()):
                pytest.fail("it was let in")
            assert "too_many_connections" == caught.value.code
            with pytest.raises(TooManySessions, match="1 sessions") as caught, visitor.place():
                pytest.fail("it had a place")
            assert "too_many_sessions" == caught.value.code
            raise ProtocolError("It ends badly.")
        with doors.admit(asking()) as visitor, visitor.place():
            pass


@given(st.floats(0.5, 1_000), st.floats(1, 5), st.lists(st.just(0.0) | st.floats(0, 10), min_size=1, max_size=60))
def test_pace_over_time(rate: float, burst: float, rests: list[float]) -> None:
    """Whoever waits as told never goes faster than the rate, but for the burst, and never waits without need."""
    pace, now, times = Pace(rate, burst), 0.0, list[float]()
    for rest in rests:
        now += rest
        now += pace.take(now)
        times.append(now)
    for earlier, later in combinations(range(len(times)), 2):
        assert later - earlier <= burst + rate * (times[later] - times[earlier]) + 1e-6
    pace.take(now)
    assert 0 == Pace(rate, burst).take(now)
    assert 0 == pace.take(now + 2 * (burst + 1) / rate)


def test_pace_of_who_does_not_wait() -> None:
    """The wait grows with what was taken too fast, and a clock that goes back gives nothing away."""
    pace = Pace(10, 2)
    assert [0, 0, 0.1, 0.2] == pytest.approx([pace.take(5) for _ in range(4)])
    assert 0.3 == pytest.approx(pace.take(4))
    assert 0 == pace.take(6)


async def test_messages_that_come_too_fast() -> None:
    """Text messages beyond the pace have to wait, and are told with their own code; audio beyond it only waits."""
    visitor = Visitor(Doors(DoorsConfig(messages_per_second=1, frames_per_second=10)), "", None)
    told = [error for _ in range(5) if (error := await visitor.pace("{}"))]
    assert {("too_many_messages", "Send at most 1 a second.")} == {(error.code, error.fix) for error in told}
    began = asyncio.get_running_loop().time()
    for _ in range(25):
        assert None is await visitor.pace(b"")
    # 20 at once, and the others had to wait: less time cannot have passed, however fast or slow the machine.
    assert asyncio.get_running_loop().time() - began > 0.4


@pytest.mark.parametrize(
    ("place", "doors"),
    [
        ("origins", {"origins": ["friend.example"]}),
        ("origins", {"origins": ["https://friend.example/page"]}),
        ("trusted_proxies", {"trusted_proxies": ["proxy.example"]}),
        ("handshake_seconds", {"handshake_seconds": 0}),
        ("frames_per_second", {"frames_per_second": 0}),
        ("key", {"key": "keys.json"}),
    ],
)
def test_settings_that_cannot_be(place: str, doors: dict[str, object]) -> None:
    """A door that would not be what its owner meant is a mistake at the start, with its place."""
    with pytest.raises(ValueError, match=rf"(?s)doors\.{place}"):
        Config.model_validate({"doors": doors, "default": "p", "profiles": {}})


def test_local_configuration_shows_every_door() -> None:
    """configs/local.yaml names every setting of the doors, the optional ones in comments, and tells the defaults."""
    text = LOCAL.read_text()
    shown, defaults = yaml.safe_load(text)["doors"], DoorsConfig().model_dump()
    assert shown == {name: defaults[name] for name in shown}
    (part,) = re.findall(r"^doors:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert set(defaults) == set(re.findall(r"^  (?:# )?(\w+):", part, re.MULTILINE))
