"""The provider: settings, the key, and what it says of what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.providers.interpreter import fresh, without
from tests.providers.sarvam.rehearsing import needs_sdk

from twopass.config import load as load_config
from twopass.cost.prices.cards import load_card
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Feature
from twopass_providers.sarvam import provider
from twopass_providers.sarvam.settings import KEY_VARIABLE, LANGUAGES, SKU

STAND_IN = {"endpoint": "ws://127.0.0.1:1"}
CONFIG = Path(__file__).parents[3] / "configs" / "sarvam-whisper.yaml"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@needs_sdk
def test_without_a_key_it_says_what_to_set() -> None:
    """The exact variable, before anything is sent; with a stand-in none is needed."""
    with pytest.raises(RecognizerUnavailable, match=KEY_VARIABLE) as caught:
        provider.streaming({})
    assert f"export {KEY_VARIABLE}=" in caught.value.fix
    with pytest.raises(RecognizerUnavailable, match="OTHER_KEY"):
        provider.streaming({"key_variable": "OTHER_KEY"})
    provider.streaming(STAND_IN)


@needs_sdk
async def test_a_key_is_found_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it the SDK is made ready for Sarvam itself; nothing is sent yet, and nothing shows it."""
    monkeypatch.setenv("OTHER_KEY", " sk_secret ")
    recognizer = provider.streaming({"key_variable": "OTHER_KEY"})
    await recognizer.open()
    await recognizer.open()
    await recognizer.close()
    await recognizer.close()
    assert "sk_secret" not in f"{recognizer!r} {recognizer.capabilities!r} {provider.diagnose()!r}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 1},
        {"model": "saarika:v2.5"},
        {"mode": "sing"},
        {"stream_type": "quick"},
        {"threshold": 1.5},
        {"silence_duration_ms": -1},
        {"key_variable": "sk_ab-cd"},
        {"endpoint": "wss://api.sarvam.ai"},
        {"endpoint": "ws://127.0.0.1"},
        {"connect_seconds": 0},
        {"ping_seconds": 60},
        {"api_key": "sk_secret"},
    ],
)
def test_wrong_settings_are_refused_before_anything_else(wrong: dict[str, object]) -> None:
    """Also where there is no key, and in the second pass, which Sarvam is not; what was written is not repeated."""
    for make in (provider.streaming, provider.utterance):
        with pytest.raises(ConfigError, match=next(iter(wrong))) as caught:
            make(wrong)
        assert caught.value.fix
        assert "sk_secret" not in str(caught.value)


def test_it_is_no_second_pass() -> None:
    """It says so, and what is."""
    with pytest.raises(RecognizerUnavailable, match="first pass only") as caught:
        provider.utterance({})
    assert "whisper" in caught.value.fix


@needs_sdk
def test_what_the_core_has_to_know() -> None:
    """Languages, limits, wishes that it can fulfil, and what its bill is called."""
    capabilities = provider.streaming(STAND_IN).capabilities
    assert 23 == len(LANGUAGES) == len(capabilities.languages)
    assert {Feature.DETECTION, Feature.PHRASES} == capabilities.features
    assert (True, False, False) == (capabilities.endpoints, capabilities.word_times, capabilities.local)
    assert 8 * 3600 == capabilities.max_stream_seconds
    patient = provider.streaming({**STAND_IN, "stream_type": "simulated"}).capabilities
    assert (patient.answers_within_seconds or 0) > (capabilities.answers_within_seconds or 0) > 0
    card = load_card("twopass_providers.sarvam")
    assert card is not None
    assert [SKU] == [rate.sku for rate in card.rates] == [capabilities.sku]


def test_the_configuration_is_ready_to_use() -> None:
    """Its settings are Sarvam's, also those in comments that name a stand-in."""
    first = load_config(CONFIG).profiles["live"].first_pass
    assert "sarvam" == first.provider
    with pytest.raises(RecognizerUnavailable, match="first pass only"):  # after the settings were checked
        provider.utterance({**first.settings, **STAND_IN})


def test_a_diagnosis_is_fast_and_names_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said with what helps; a key that is there is not shown."""
    finding = {finding.subject: finding for finding in provider.diagnose()}["Sarvam key"]
    assert (False, True) == (finding.ok, KEY_VARIABLE in finding.fix)
    monkeypatch.setenv(KEY_VARIABLE, "sk_secret")
    finding = {finding.subject: finding for finding in provider.diagnose()}["Sarvam key"]
    assert (True, False) == (finding.ok, "sk_secret" in finding.detail)


def test_without_the_sdk_it_says_what_to_install() -> None:
    """The module and its stand-in can be imported without the SDK; only the recognizer needs it."""
    done = without(("sarvamai",), "sarvam", "ws://127.0.0.1:1")
    assert 'pip install "twopass[sarvam]"' == done.stdout.strip()
    assert "" == done.stderr


@needs_sdk
def test_importing_the_provider_imports_no_sdk() -> None:
    """It would take half a second, in every process."""
    code = "import sys, twopass_providers.sarvam as s; s.provider.diagnose(); print('sarvamai' in sys.modules)"
    done = fresh(code)
    assert "False" == done.stdout.strip()


@needs_sdk
def test_loading_the_sdk_warns_of_nothing_and_ignores_nothing_afterwards() -> None:
    """Its use of an old library is its own affair; other warnings are as they were."""
    code = (
        "import warnings; before = list(warnings.filters)\n"
        "from twopass_providers.sarvam.connection import load; load(); load()\n"
        "print(before == warnings.filters)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert ("True", "") == (done.stdout.strip(), done.stderr)
