"""
Which Whisper: a name, a directory, or `auto`, and where its weights are.

Weights come from the Hugging Face hub's cache on this machine. They are only downloaded by `fetch`, never as a side
effect of loading.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Progress

NAME = "whisper"
AUTO = "auto"
_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
DEMO = "demo"
"""The bundled tiny model."""
GPU_MODEL = "large-v3-turbo"
CPU_MODEL = "base"


@dataclass(frozen=True, slots=True)
class Weights:
    """
    Attributes:
        title: The model, for people.
        understands: One sentence, for people.
    """

    directory: str
    title: str
    understands: str
    languages: tuple[str, ...]


def demo_directory() -> Path:
    """Where the bundled model lies."""
    return Path(str(files("twopass"))) / "assets" / "tiny-whisper"


def has_gpu() -> bool:
    """Whether CTranslate2 sees a CUDA device."""
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count() > 0)


def name_for(model: str) -> str:
    """`auto` made concrete for this machine."""
    if model != AUTO:
        return model
    return GPU_MODEL if has_gpu() else CPU_MODEL


def locate(model: str) -> Weights:
    """Find the weights of a model on this machine. Raises RecognizerUnavailable that names the command to get them."""
    if model == DEMO:
        return Weights(
            str(demo_directory()),
            "tiny-whisper (bundled demo model)",
            "Only about 300 English words of meeting talk in synthetic voices; human speech comes out as nonsense.",
            ("en",),
        )
    if _is_path(model):
        return _directory(Path(model).expanduser())
    name = name_for(model)
    english = name.endswith(".en") or name.startswith("distil")
    understands = f"Human speech in {'English' if english else 'about 100 languages'}, with capitals and punctuation."
    return Weights(_cached(name), f"Whisper {name}", understands, ("en",) if english else _all_languages())


def fetch(model: str, progress: Progress) -> str:
    """Download the weights of a named model; returns their directory. Raises RecognizerUnavailable."""
    from huggingface_hub import snapshot_download

    name = name_for(model)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return str(
            snapshot_download(
                _repository(name),
                allow_patterns=_FILES,
                tqdm_class=_reporting(name, progress),
                etag_timeout=5,
            )
        )
    except ConfigError:
        raise
    except Exception as error:  # the hub client raises whatever its layers raise
        raise RecognizerUnavailable(
            f"Whisper {name} could not be downloaded ({type(error).__name__}).",
            provider=NAME,
            code="weights_not_downloaded",
            fix=f"With a network, run: twopass models pull {name}",
        ) from error


def _is_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or (Path(model) / "model.bin").is_file()


def _directory(path: Path) -> Weights:
    missing = [name for name in ("model.bin", "config.json") if not (path / name).is_file()]
    if missing:
        raise RecognizerUnavailable(
            f"{path} is not a converted Whisper: {' and '.join(missing)} missing.",
            provider=NAME,
            code="not_a_model",
            fix="Convert it with ct2-transformers-converter, or name a model such as base.",
        )
    understands = "What its training taught it; twopass cannot know."
    return Weights(str(path), f"Whisper from {path.name}", understands, _all_languages())


def _cached(name: str) -> str:
    from huggingface_hub import snapshot_download

    try:
        directory = str(snapshot_download(_repository(name), allow_patterns=_FILES, local_files_only=True))
    except ConfigError:
        raise
    except Exception:
        directory = ""
    if not (Path(directory) / "model.bin").is_file():
        raise RecognizerUnavailable(
            f"The weights of Whisper {name} are not on this machine.",
            provider=NAME,
            code="weights_missing",
            fix=f"Run: twopass models pull {name}",
        )
    return directory


def _repository(name: str) -> str:
    if "/" in name:
        return name
    from faster_whisper import available_models
    from faster_whisper.utils import _MODELS

    if name not in _MODELS:
        raise ConfigError(f"There is no Whisper called {name!r}.", fix=f"Known: {', '.join(available_models())}.")
    return str(_MODELS[name])


def _all_languages() -> tuple[str, ...]:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    return tuple(_LANGUAGE_CODES)


def _reporting(name: str, progress: Progress) -> type[Any]:
    """A tqdm that draws nothing and reports bytes."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # the hub's own bars know it
            super().__init__(*args, **{**kwargs, "file": StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            drawn = super().update(n or 0)
            if self.unit == "B" and self.total:
                progress(f"Whisper {name}", int(self.n), int(self.total))
            return drawn

    return Reporting
