"""The provider: settings, credentials, and what it says of what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.providers.google.rehearsing import needs_sdk
from tests.providers.interpreter import fresh, without

from twopass.cost.prices.cards import load_card
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Feature
from twopass_providers.google import credentials, provider
from twopass_providers.google.credentials import VARIABLE
from twopass_providers.google.settings import GoogleSettings

STAND_IN = {"endpoint": "127.0.0.1:1"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (VARIABLE, "GOOGLE_CLOUD_PROJECT", "K_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(credentials, "MACHINE", tmp_path / "nothing")


def key_file(directory: Path, **fields: str) -> Path:
    """A service account's file with a key that opens nothing."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {
        "type": "service_account",
        "project_id": "of-the-file",
        "private_key": pem.decode(),
        "client_email": "a@of-the-file.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/token",
    }
    file = directory / "key.json"
    file.write_text(json.dumps(content | fields), encoding="utf-8")
    return file


@needs_sdk
def test_without_credentials_it_says_what_to_set() -> None:
    """The exact variable, before anything is sent; with a stand-in none are needed."""
    with pytest.raises(RecognizerUnavailable, match="credentials") as caught:
        provider.streaming({})
    assert VARIABLE in caught.value.fix
    provider.streaming(STAND_IN)


@needs_sdk
@pytest.mark.parametrize("where", ["the variable", "the setting", "gcloud"])
async def test_credentials_are_found(where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In each of their places; with them the encrypted channel to Google is made, and nothing is sent yet."""
    file, settings = key_file(tmp_path), {}
    if where == "the variable":
        monkeypatch.setenv(VARIABLE, str(file))
    elif where == "the setting":
        settings["credentials_file"] = str(file)
    else:
        (tmp_path / "gcloud").mkdir()
        file.rename(tmp_path / "gcloud" / "application_default_credentials.json")
    recognizer = provider.streaming(settings)
    await recognizer.open()
    await recognizer.close()


@needs_sdk
@pytest.mark.parametrize("content", ["{", "[]", '{"type": "service_account", "project_id": "p"}'])
async def test_a_broken_key_file_is_named(content: str, tmp_path: Path) -> None:
    """Not what stands in it: that is secret."""
    file = tmp_path / "key.json"
    file.write_text(content, encoding="utf-8")
    recognizer = provider.streaming({"credentials_file": str(file), "project": "p"})
    with pytest.raises(RecognizerUnavailable, match=r"key\.json") as caught:
        await recognizer.open()
    assert VARIABLE in caught.value.fix
    await recognizer.close()


@needs_sdk
def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever names it is named too."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.json"))
    with pytest.raises(RecognizerUnavailable, match=rf"{VARIABLE} names .*gone\.json"):
        provider.streaming({})
    with pytest.raises(RecognizerUnavailable, match=r"credentials_file names .*lost\.json"):
        provider.streaming({"credentials_file": str(tmp_path / "lost.json")})


def settings(**values: object) -> GoogleSettings:
    """Checked settings."""
    return GoogleSettings.model_validate(values)


def test_the_project_is_the_settings_or_the_environments_or_the_files(tmp_path: Path) -> None:
    """In this order; v2 needs one, v1 does not."""
    file = tmp_path / "key.json"
    file.write_text('{"project_id": "of-the-file"}', encoding="utf-8")
    environment = {"GOOGLE_CLOUD_PROJECT": "of-the-environment"}
    assert "mine" == credentials.project(settings(project="mine"), environment, file)
    assert "of-the-environment" == credentials.project(settings(), environment, file)
    assert "of-the-file" == credentials.project(settings(), {}, file)
    assert "" == credentials.project(settings(api="v1"), {}, None)
    with pytest.raises(RecognizerUnavailable, match="project") as caught:
        credentials.project(settings(), {}, None)
    assert "GOOGLE_CLOUD_PROJECT" in caught.value.fix


def test_googles_own_machines_need_no_file(tmp_path: Path) -> None:
    """There the machine itself has an account."""
    machine = tmp_path / "product_name"
    machine.write_text("Google Compute Engine\n", encoding="ascii")
    assert credentials.located(settings(), {"CLOUDSDK_CONFIG": str(tmp_path)}, machine) is None
    assert credentials.located(settings(), {"CLOUDSDK_CONFIG": str(tmp_path), "K_SERVICE": "s"}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 1},
        {"api": "v3"},
        {"model": "chirp"},
        {"api": "v1", "model": "chirp_2"},
        {"api": "v1", "endpointing_sensitivity": "short"},
        {"data_logging": True},
        {"region": "Europe!"},
        {"endpoint": "http://127.0.0.1:80"},
        {"connect_seconds": 0},
        {"recognizer": "projects/p/locations/l/recognizers/r"},
    ],
)
def test_wrong_settings_are_refused_before_anything_else(wrong: dict[str, object]) -> None:
    """Also where no credentials are, and in the second pass, which Google is not."""
    for make in (provider.streaming, provider.utterance):
        with pytest.raises(ConfigError) as caught:
            make(wrong)
        assert caught.value.fix
        assert any(name in caught.value.message for name in [*wrong, "api: v2", "api: v1", "chirp"])


def test_it_is_no_second_pass() -> None:
    """It says so, and what is."""
    with pytest.raises(RecognizerUnavailable, match="first pass only") as caught:
        provider.utterance({})
    assert "whisper" in caught.value.fix


@pytest.mark.parametrize(
    ("values", "sku", "host", "seconds"),
    [
        ({}, "v2-standard", "speech.googleapis.com", 300),
        ({"region": "europe-west4", "model": "chirp_2"}, "v2-standard", "europe-west4-speech.googleapis.com", 300),
        ({"api": "v1"}, "v1-standard", "speech.googleapis.com", 305),
        ({"api": "v1", "data_logging": True}, "v1-standard-logged", "speech.googleapis.com", 305),
        ({"api": "v1", "model": "medical_dictation"}, "v1-medical", "speech.googleapis.com", 305),
    ],
)
def test_what_is_billed_where(values: dict[str, object], sku: str, host: str, seconds: float) -> None:
    """Version, model and data logging make the price; the region makes the server; the version makes the limit."""
    chosen = settings(**values)
    assert (sku, host) == (chosen.sku, chosen.host)
    capabilities = chosen.capabilities
    assert (sku, seconds) == (capabilities.sku, capabilities.max_stream_seconds)
    assert (Feature.DIARIZATION not in capabilities.features) == chosen.is_chirp
    card = load_card("twopass_providers.google")
    assert card is not None
    assert sku in {rate.sku for rate in card.rates}


def test_a_diagnosis_is_fast_and_names_fixes() -> None:
    """What is missing is said with what helps."""
    findings = {finding.subject: finding for finding in provider.diagnose()}
    assert not findings["Google credentials"].ok
    assert VARIABLE in findings["Google credentials"].fix


def test_a_diagnosis_names_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With credentials it says which."""
    file = tmp_path / "key.json"
    file.write_text('{"project_id": "of-the-file"}', encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(file))
    findings = {finding.subject: finding for finding in provider.diagnose()}
    assert findings["Google credentials"].ok
    assert "of-the-file" in findings["Google credentials"].detail


def test_without_the_sdk_it_says_what_to_install() -> None:
    """The module and its stand-in can be imported without the SDK; only their use needs it."""
    done = without(("google.cloud", "grpc"), "google", "127.0.0.1:1")
    assert 'pip install "twopass[google]"' == done.stdout.strip()
    assert "" == done.stderr


@needs_sdk
def test_importing_the_provider_imports_no_sdk() -> None:
    """It would take a second, in every process."""
    code = "import sys, twopass_providers.google as g; g.provider.diagnose(); print('grpc' in sys.modules)"
    done = fresh(code)
    assert "False" == done.stdout.strip()
