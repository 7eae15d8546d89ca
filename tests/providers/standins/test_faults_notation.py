"""How faults are written down, and whom they strike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.errors import ConfigError
from twopass_providers.standins.faults import Fault, of_connection, parsed

KINDS = ("hang", "close_1011", "refuse", "silent")
kinds = st.sampled_from(KINDS)
connections = st.integers(1, 1_000)
moments = st.integers(0, 10_000_000)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2:hang@3.5", Fault("hang", 3_500, 2, 2)),
        ("*:hang", Fault("hang", 0, 1, None)),
        ("1-3:refuse", Fault("refuse", 0, 1, 3)),
        ("4+:silent@10", Fault("silent", 10_000, 4, None)),
        ("*:close_1011@0.001", Fault("close_1011", 1, 1, None)),
    ],
)
def test_what_people_write(text: str, fault: Fault) -> None:
    """The examples of the notation mean what they say."""
    assert fault == parsed(text, KINDS)


@given(kinds, connections, st.none() | st.integers(0, 1_000), moments)
def test_whatever_is_written_is_read(kind: str, first: int, more: int | None, at_ms: int) -> None:
    """A fault written down is the same fault, whoever it strikes and whenever."""
    fault = Fault(kind, at_ms, first, None if more is None else first + more)
    whom = f"{first}+" if more is None else f"{first}-{first + more}"
    assert fault == parsed(f"{whom}:{kind}@{at_ms // 1000}.{at_ms % 1000:03}", KINDS)


@given(kinds, connections)
def test_a_single_connection_is_struck_alone(kind: str, connection: int) -> None:
    """A number strikes the connection of that number at its beginning, and its neighbours never."""
    fault = parsed(f"{connection}:{kind}", KINDS)
    assert 0 == fault.at_ms
    assert [False, True, False] == [fault.strikes(connection + by) for by in (-1, 0, 1)]


@given(connections, st.integers(0, 1_000), connections)
def test_a_range_strikes_its_ends_and_what_is_between(first: int, more: int, connection: int) -> None:
    """Both ends belong to it; a plus has no end; a star strikes everybody."""
    last = first + more
    assert (first <= connection <= last) == parsed(f"{first}-{last}:hang", KINDS).strikes(connection)
    assert (first <= connection) == parsed(f"{first}+:hang", KINDS).strikes(connection)
    assert parsed("*:hang", KINDS).strikes(connection)


faults = st.builds(Fault, kinds, moments, connections, st.none() | connections)


@given(st.lists(faults, max_size=8, unique=True), connections)
def test_a_connection_is_struck_in_the_order_of_time(script: list[Fault], connection: int) -> None:
    """Of all faults just those that strike it, each once, the earliest first, as written where two come together."""
    found = of_connection(script, connection)
    assert sorted(map(script.index, found)) == sorted(
        map(script.index, filter(lambda f: f.strikes(connection), script))
    )
    places = [(fault.at_ms, script.index(fault)) for fault in found]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hang",
        "1:",
        ":hang",
        "1:hang@",
        "1:hang@x",
        "1:hang@-1",
        "-1:hang",
        "1-:hang",
        "1+2:hang",
        "*+:hang",
        "1:HANG",
    ],
)
def test_what_is_no_fault_is_said_with_an_example(text: str) -> None:
    """Whoever mistypes one sees how it is written."""
    with pytest.raises(ConfigError, match="is no fault") as caught:
        parsed(text, KINDS)
    assert "2:hang@3.5" in caught.value.fix


def test_a_kind_that_there_is_not_is_said_with_those_that_there_are() -> None:
    """Kinds differ from vendor to vendor."""
    with pytest.raises(ConfigError, match="'nonsense'") as caught:
        parsed("1:nonsense", KINDS)
    assert all(kind in caught.value.fix for kind in KINDS)
