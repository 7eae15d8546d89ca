"""The provider: settings, credentials, what it says of what is missing, and its stand-in as others run it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml
from tests.providers.azure.rehearsing import ENGLISH, hear, needs_sdk, opened
from tests.providers.interpreter import fresh, without
from tests.providers.rehearsal import transcript
from tests.scripted import numbered, spoken

from twopass.cost.prices.cards import load_card
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Feature
from twopass_providers.azure import credentials, provider, standin
from twopass_providers.azure.settings import AzureSettings
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar

VARIABLES = ("AZURE_SPEECH_KEY", "SPEECH_KEY", "AZURE_SPEECH_REGION", "SPEECH_REGION")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def settings(**values: object) -> AzureSettings:
    """Checked settings."""
    return AzureSettings.model_validate(values)


@needs_sdk
def test_without_a_key_or_a_region_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact variable, before anything is sent; with a stand-in none is needed."""
    with pytest.raises(RecognizerUnavailable, match="key") as caught:
        provider.streaming({})
    assert "AZURE_SPEECH_KEY" in caught.value.fix
    monkeypatch.setenv("AZURE_SPEECH_KEY", "not a key")
    with pytest.raises(RecognizerUnavailable, match="region") as caught:
        provider.streaming({})
    assert "AZURE_SPEECH_REGION" in caught.value.fix
    provider.streaming({"region": "westeurope"})
    provider.streaming({"endpoint": "https://mine.cognitiveservices.azure.com"})
    monkeypatch.delenv("AZURE_SPEECH_KEY")
    provider.streaming({"endpoint": "ws://127.0.0.1:1"})


@pytest.mark.parametrize(
    ("environment", "values", "key", "region"),
    [
        ({"AZURE_SPEECH_KEY": "a", "SPEECH_KEY": "b", "AZURE_SPEECH_REGION": "r", "SPEECH_REGION": "s"}, {}, "a", "r"),
        ({"SPEECH_KEY": "b", "SPEECH_REGION": "s"}, {}, "b", "s"),
        ({"SPEECH_KEY": "b", "SPEECH_REGION": "s"}, {"region": "mine"}, "b", "mine"),
        ({"SPEECH_KEY": "b", "SECOND": "c"}, {"key_variable": "SECOND", "region": "r"}, "c", "r"),
        ({"SPEECH_KEY": "b", "SPEECH_REGION": "s"}, {"endpoint": "https://mine.azure.com"}, "b", ""),
        ({"SPEECH_KEY": "b"}, {"endpoint": "ws://127.0.0.1:1"}, "", ""),
    ],
)
def test_where_key_and_region_are_found(
    environment: Mapping[str, str], values: Mapping[str, object], key: str, region: str
) -> None:
    """In the environment, under the names that Azure's own examples use; a stand-in gets no key."""
    chosen = settings(**values)
    assert (key, region) == (credentials.key(chosen, environment), credentials.region(chosen, environment))


def test_another_variable_is_named_when_it_is_empty() -> None:
    """The one that the setting names, not the usual one."""
    with pytest.raises(RecognizerUnavailable) as caught:
        credentials.key(settings(key_variable="SECOND"), {"AZURE_SPEECH_KEY": "a"})
    assert "SECOND" in caught.value.fix


@needs_sdk
async def test_the_key_goes_to_azure_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent where it must be, and no error says it."""
    monkeypatch.setenv("AZURE_SPEECH_KEY", "5ecret")
    async with opened("wss://127.0.0.1:1", connect_seconds=10) as recognizer:
        heard = await hear(recognizer, bytes(3_200))
    assert heard.error is not None
    assert "5ecret" not in f"{heard.error} {recognizer.capabilities}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 1},
        {"key": "5ecret"},
        {"region": "West Europe"},
        {"endpoint": "127.0.0.1:80"},
        {"endpoint": "http://127.0.0.1:80"},
        {"endpoint_id": "a/b"},
        {"connect_seconds": 0},
        {"segmentation_silence_ms": 5},
        {"stable_threshold": 0},
        {"sdk_retries": -1},
    ],
)
def test_wrong_settings_are_refused_before_anything_else(wrong: dict[str, object]) -> None:
    """Also where no key is, and in the second pass, which Azure is not; a value is not repeated: it may be a key."""
    for make in (provider.streaming, provider.utterance):
        with pytest.raises(ConfigError) as caught:
            make(wrong)
        assert caught.value.fix
        assert next(iter(wrong)) in caught.value.message
        assert "5ecret" not in str(caught.value)


def test_it_is_no_second_pass() -> None:
    """It says so, and what is."""
    with pytest.raises(RecognizerUnavailable, match="first pass only") as caught:
        provider.utterance({})
    assert "whisper" in caught.value.fix


@pytest.mark.parametrize(
    ("values", "sku"), [({}, "s1_speech_to_text"), ({"endpoint_id": "1"}, "s1_custom_speech_to_text")]
)
def test_what_is_billed(values: dict[str, object], sku: str) -> None:
    """A custom model has another price; every name stands in the rate card."""
    capabilities = settings(**values).capabilities("westeurope")
    assert (sku, "westeurope", frozenset(Feature)) == (capabilities.sku, capabilities.region, capabilities.features)
    card = load_card("twopass_providers.azure")
    assert card is not None
    assert sku in {rate.sku for rate in card.rates}


def test_a_diagnosis_names_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said with what helps; what is there without the key."""
    missing = {finding.subject: finding for finding in provider.diagnose()}["Azure credentials"]
    assert not missing.ok
    assert "AZURE_SPEECH_KEY" in missing.fix
    monkeypatch.setenv("AZURE_SPEECH_KEY", "5ecret")
    monkeypatch.setenv("AZURE_SPEECH_REGION", "westeurope")
    found = {finding.subject: finding for finding in provider.diagnose()}["Azure credentials"]
    assert found.ok
    assert "westeurope" in found.detail
    assert "5ecret" not in found.detail


def test_without_the_sdk_it_says_what_to_install() -> None:
    """The module and its stand-in can be imported without the SDK; only a recognizer needs it."""
    done = without(("azure",), "azure", "ws://127.0.0.1:1")
    assert 'pip install "twopass[azure]"' == done.stdout.strip()
    assert "" == done.stderr


@needs_sdk
def test_importing_the_provider_imports_no_sdk() -> None:
    """Its library would be loaded in every process."""
    code = "import sys, twopass_providers.azure as a; a.provider.diagnose(); print(a.MODULE in sys.modules)"
    done = fresh(code)
    assert "False" == done.stdout.strip()


# -- the stand-in -----------------------------------------------------------------------------------------------------


@needs_sdk
async def test_the_stand_in_says_which_settings_lead_to_it() -> None:
    """With its address in them they make a recognizer that hears."""
    async with standin.stand_in(StandInSettings(CodedEar())) as running:
        values = yaml.safe_load(standin.SETTINGS.format(address=running.address))
        assert "azure" == values.pop("provider")
        recognizer = provider.streaming(values)
        await recognizer.open()
        heard = await hear(recognizer, spoken(numbered(4), 1_500), ENGLISH)
    assert transcript(numbered(4)) == heard.words


async def test_a_taken_port_is_told() -> None:
    """With what to do about it."""
    async with standin.stand_in(StandInSettings(CodedEar())) as running:
        port = int(running.address.rpartition(":")[2])
        with pytest.raises(ConfigError, match=str(port)) as caught:
            async with standin.stand_in(StandInSettings(CodedEar(), port=port)):
                pass
    assert caught.value.fix


def test_each_fault_has_a_line_for_people() -> None:
    """Its name can be written on a command line."""
    for name, line in standin.FAULTS:
        assert name.replace("_", "").isalnum()
        assert line.endswith(".")
