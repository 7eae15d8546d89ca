"""The configuration: every mistake is told with its place, and what is documented is what happens."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from twopass import recognizers
from twopass.config import Config, PassConfig, Profile, ServerConfig, load, parse
from twopass.cost.prices.rates import Money
from twopass.errors import ConfigError, RecognizerUnavailable

LOCAL = Path(__file__).parents[1] / "configs" / "local.yaml"
PROFILE = {"first_pass": {"provider": "a"}, "second_pass": {"provider": "b"}}
SMALLEST = {"default": "p", "profiles": {"p": PROFILE}}


def configured(**changes: object) -> Config:
    """The smallest configuration with changes."""
    return parse(yaml.safe_dump(SMALLEST | changes), name="file.yaml")


def profile(**changes: object) -> dict[str, object]:
    """The only profile, changed."""
    return {"profiles": {"p": PROFILE | changes}}


def test_everything_but_the_profiles_has_a_default() -> None:
    """The smallest file names a profile and its two providers."""
    config = configured()
    assert (ServerConfig(), {}, True) == (config.server, config.prices, config.download)
    only = config.profiles["p"]
    assert Profile(first_pass=PassConfig(provider="a"), second_pass=PassConfig(provider="b")) == only
    assert ({}, None) == (only.first_pass.settings, only.first_pass.fallback)


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("default", {"default": "q"}),
        ("default", {"default": 5}),
        ("profiles", {"profiles": {}}),
        ("profiles", {"profiles": ["p"]}),
        ("nonsense", {"nonsense": 1}),
        ("download", {"download": "perhaps"}),
        ("server.ports", {"server": {"ports": 1}}),
        ("server.port", {"server": {"port": 65_536}}),
        ("server.port", {"server": {"port": "http"}}),
        ("server.host", {"server": {"host": 5}}),
        ("server.max_sessions", {"server": {"max_sessions": 0}}),
        ("server.max_upload_mb", {"server": {"max_upload_mb": -1}}),
        ("profiles.p.first_pass", profile(first_pass="a")),
        ("profiles.p.first_pass.provider", profile(first_pass={"model": "m"})),
        ("profiles.p.second_pass.fallback.provider", profile(second_pass={"provider": "b", "fallback": {}})),
        ("profiles.p.third_pass", profile(third_pass={"provider": "c"})),
        ("profiles.p.segmenter.treshold", profile(segmenter={"treshold": 0.5})),
        ("profiles.p.segmenter.threshold", profile(segmenter={"threshold": "high"})),
        ("profiles.p.segmenter", profile(segmenter={"min_speech": -1})),
        ("profiles.p.second_pass_run.speculate", profile(second_pass_run={"speculate": "sometimes"})),
        ("profiles.p.second_pass_run", profile(second_pass_run={"deadline_ms": -1})),
        ("profiles.p.first_pass_run.attempts", profile(first_pass_run={"attempts": 1.5})),
        ("profiles.p.guard.no_speech", profile(guard={"no_speech": []})),
        ("prices", {"prices": 0.04}),
        ("prices.gpu", {"prices": {"gpu": 1}}),
    ],
)
def test_mistake_is_told_with_its_place(place: str, changes: Mapping[str, object]) -> None:
    """What is wrong is said with the file and the path inside it, and where the right settings are shown."""
    with pytest.raises(ConfigError) as caught:
        configured(**changes)
    assert re.match(rf"file\.yaml: {re.escape(place)}: \w.*\.$", caught.value.message)
    assert "configs/local.yaml shows every setting." == caught.value.fix


@pytest.mark.parametrize("missing", ["default", "profiles"])
def test_what_is_needed_is_named(missing: str) -> None:
    """Without profiles, or without the default one, there is nothing to serve."""
    document = {name: value for name, value in SMALLEST.items() if name != missing}
    with pytest.raises(ConfigError, match=f": {missing}: Field required"):
        parse(yaml.safe_dump(document))


def test_unknown_default_names_what_there_is() -> None:
    """Who mistypes the default profile is shown the right names."""
    with pytest.raises(ConfigError, match=r"default: there is no profile 'demmo'; there are: p, q\."):
        parse(yaml.safe_dump({"default": "demmo", "profiles": {"p": PROFILE, "q": PROFILE}}))


@pytest.mark.parametrize(
    "text", ["a: b: c", "\t", "{", "[1", "- a\nb", "default: 2001-99-99", "[" * 5_000, "\0", "!!python/x 1"]
)
def test_what_is_no_yaml(text: str) -> None:
    """A file that is not YAML is told as such."""
    with pytest.raises(ConfigError, match=r"^file is not YAML"):
        parse(text, name="file")


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ).map(yaml.safe_dump)
)
def test_any_other_text_is_a_config_error(text: str) -> None:
    """Whatever a file holds, the mistake is told as one of the configuration."""
    with pytest.raises(ConfigError):
        parse(text)


@given(st.decimals(0, 10_000, places=4), st.from_regex(r"[A-Z]{3}", fullmatch=True))
def test_price_is_exact(amount: Decimal, currency: str) -> None:
    """An amount and a currency, to the last digit."""
    assert Money(amount, currency) == configured(prices={"gpu": f"{amount:f} {currency}"}).prices["gpu"]


@pytest.mark.parametrize(
    "price",
    ["0.04", "USD", "0.04 usd", "0.04 USDT", "0,04 USD", "a USD", "NaN USD", "-1 USD", "1e3 USD", 1, None, ["1 USD"]],
)
def test_what_is_no_price(price: object) -> None:
    """Anything but a plain amount with its currency is refused, with an example."""
    with pytest.raises(ConfigError, match=r"prices\.gpu: write an amount and a currency, such as 0\.04 USD"):
        configured(prices={"gpu": price})


def test_providers_settings_are_passed_on() -> None:
    """What a pass has besides its provider and its fallback belongs to the provider, and cannot be changed."""
    second = {"provider": "b", "model": "m", "beam": 5, "fallback": {"provider": "c", "x": [1]}}
    only = configured(**profile(second_pass=second)).profiles["p"].second_pass
    assert {"model": "m", "beam": 5} == only.settings
    assert only.fallback is not None
    assert ("c", {"x": [1]}) == (only.fallback.provider, only.fallback.settings)
    with pytest.raises(TypeError):
        only.settings["model"] = "n"  # type: ignore[index]


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff\xfe\0", "it is no text")])
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, why: str) -> None:
    """A file that is not there, or no text, is named."""
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"file.yaml cannot be read: {why}"):
        load(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_local_configuration_documents_the_defaults() -> None:
    """configs/local.yaml loads, and every value that it calls a default is one."""
    config, document = load(LOCAL), yaml.safe_load(LOCAL.read_text())
    assert set(config.profiles) == {"live", "demo"}
    server = ServerConfig().model_dump()
    assert document["server"] == {name: server[name] for name in document["server"]}
    plain = Profile(first_pass=PassConfig(provider="a"), second_pass=PassConfig(provider="b"))
    demo = document["profiles"]["demo"]
    for part in ("segmenter", "second_pass_run", "first_pass_run"):
        assert asdict(getattr(plain, part)) | demo[part] == asdict(getattr(plain, part))
    assert True is document["download"]
    assert Money(Decimal("0.04"), "USD") == config.prices["cpu_core"]


@pytest.mark.parametrize("part", ["segmenter", "second_pass_run", "first_pass_run"])
def test_local_configuration_shows_every_name(part: str) -> None:
    """The configuration that claims to show every setting does."""
    plain = Profile(first_pass=PassConfig(provider="a"), second_pass=PassConfig(provider="b"))
    demo = yaml.safe_load(LOCAL.read_text())["profiles"]["demo"]
    assert set(asdict(getattr(plain, part))) == set(demo[part])


CONFIGS = sorted(path for path in LOCAL.parent.glob("*.yaml") if not path.stem.endswith("-example"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_every_configuration_is_ready_to_use(path: Path) -> None:
    """It loads, and its passes are installed providers whose settings are theirs (what a key opens, it may lack)."""
    for profile in load(path).profiles.values():
        firsts = [profile.first_pass, *profile.first_pass.failover]
        for part, kind in [*((first, "streaming") for first in firsts), (profile.second_pass, "utterance")]:
            with contextlib.suppress(RecognizerUnavailable):
                getattr(recognizers.find(part.provider), kind)(part.settings)


def test_failover_and_race_belong_to_the_first_pass() -> None:
    """The second pass has a fallback only: said by name."""
    second = {"provider": "b", "failover": [{"provider": "c"}]}
    document = {"default": "p", "profiles": {"p": {"first_pass": {"provider": "a"}, "second_pass": second}}}
    with pytest.raises(ConfigError, match="first pass"):
        parse(yaml.safe_dump(document))


def test_workers_have_machines_of_their_own() -> None:
    """Servers and workers of one configuration count different machines, and only servers mind the budgets."""
    budget = {"period": "day", "limit": "1 USD"}
    machines = {"provisioned": {"cpu_core": 4}, "worker_provisioned": {"gpu": 1}}
    ledger = configured(ledger={"url": "sqlite:///x", "budgets": [budget]} | machines).ledger
    server, worker = ledger.settings, ledger.worker_settings
    assert ({"cpu_core": 4}, 1) == (dict(server.machines), len(server.budgets))
    assert ({"gpu": 1}, ()) == (dict(worker.machines), worker.budgets)


def test_addresses_that_hold_passwords_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broker and Redis are replaced; a second pass in the process stays there, and what is no address is refused."""
    passes = {"first_pass": {"provider": "a"}, "second_pass": {"provider": "b"}}
    far = passes | {"second_pass": {"provider": "b", "dispatch": "nats://x:1"}}
    path = tmp_path / "c.yaml"
    path.write_text(
        yaml.safe_dump({"default": "far", "profiles": {"far": far, "near": passes}, "spool": {"directory": "d"}})
    )
    monkeypatch.setenv("TWOPASS_SPOOL", "rediss://:secret@r:6379/1")
    monkeypatch.setenv("TWOPASS_BROKER", "nats://user:secret@n:4222")
    config = load(path)
    assert ("rediss://:secret@r:6379/1", None) == (config.spool.url, config.spool.directory)
    dispatches = [config.profiles[name].second_pass.dispatch for name in ("far", "near")]
    assert ["nats://user:secret@n:4222", "inprocess"] == dispatches
    for variable in ("TWOPASS_SPOOL", "TWOPASS_BROKER"):
        with monkeypatch.context() as wrong, pytest.raises(ConfigError, match=variable):
            wrong.setenv(variable, "http://x")
            load(path)


@pytest.mark.parametrize(
    "spool", [{"directory": "d", "url": "redis://x"}, {"url": "http://x"}, {"url": "redis://x", "sync": True}]
)
def test_sessions_are_kept_at_one_place(spool: dict[str, object]) -> None:
    """In a directory or in a Redis: what cannot be is refused by name."""
    with pytest.raises(ConfigError, match="spool"):
        configured(spool=spool)
