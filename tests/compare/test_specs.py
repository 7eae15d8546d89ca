"""Systems as they are named on the command line."""

from __future__ import annotations

import pytest

from twopass.compare.running.specs import Kind, Spec, parse
from twopass.errors import ConfigError


def test_all_kinds_of_names() -> None:
    """A provider, one with settings, a stand-in, a profile, and another than the default one."""
    names = [
        "google,whisper:model=demo:step_ms=800",
        "standin:google:latency_ms=50",
        "twopass:a/b.yaml, twopass:a/b.yaml#x",
    ]
    assert (
        Spec("google", Kind.PROVIDER, "google"),
        Spec("whisper:model=demo:step_ms=800", Kind.PROVIDER, "whisper", settings={"model": "demo", "step_ms": 800}),
        Spec("standin:google:latency_ms=50", Kind.STAND_IN, "google", settings={"latency_ms": 50}),
        Spec("twopass:b", Kind.PROFILE, "a/b.yaml"),
        Spec("twopass:b#x", Kind.PROFILE, "a/b.yaml", "x"),
    ) == parse(names)


def test_an_address_is_one_setting() -> None:
    """Colons within a value belong to it."""
    (spec,) = parse(["google:endpoint=ws://127.0.0.1:80/x:region=eu"])
    assert {"endpoint": "ws://127.0.0.1:80/x", "region": "eu"} == spec.settings


def test_profiles_of_files_called_alike() -> None:
    """Two configurations of the same name in two folders are told apart by them; one of them alone keeps it short."""
    names = ["twopass:old/p.yaml,twopass:new/p.yaml#p", "twopass:new/p.yaml"]
    assert ["twopass:old/p", "twopass:p#p", "twopass:new/p"] == [spec.name for spec in parse(names)]


@pytest.mark.parametrize("names", [[], [" , "], ["google", "google"], ["twopass:"], ["standin:"], ["google:model=["]])
def test_what_is_no_name_is_refused(names: list[str]) -> None:
    """Nothing, one thing twice, a kind without a name, a value that cannot be read: each with what to write instead."""
    with pytest.raises(ConfigError) as refused:
        parse(names)
    assert refused.value.fix
