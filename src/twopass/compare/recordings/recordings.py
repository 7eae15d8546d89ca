"""
The recordings of a comparison: found, named, matched with what was said in them, and made harder.

Paths are files, directories and manifests. Every recording appears once as it is and once for each perturbation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twopass.audio import decode_file
from twopass.compare.recordings.finding import Found, find, names
from twopass.compare.recordings.matching import matched
from twopass.compare.recordings.perturbing import Perturbation
from twopass.compare.recordings.references import Reference
from twopass.errors import AudioError, ConfigError
from twopass.types import BYTES_PER_SAMPLE, milliseconds

_LATE_MS = 1_000
"""So much later than the end of the recording a word may begin: people and aligners are not exact."""


@dataclass(frozen=True, slots=True)
class Recording:
    """
    Audio that every system hears.

    Attributes:
        name: Unique, and safe as a file's name; with its perturbation: "jfk", "jfk~noise-10".
        source: The name without the perturbation.
        path: The file; its channels are mixed.
        ms: How long it plays.
        reference: What was said, its times those of the perturbed audio; None if nobody has written it down.
        condition: Of a perturbed recording its perturbation, else the manifest's. Empty: not said.
        language: BCP 47; None if not said.
        seed: Decides the randomness of the perturbation, together with `source`.
    """

    name: str
    source: str
    path: Path
    ms: int
    reference: Reference | None = None
    condition: str = ""
    language: str | None = None
    perturbation: Perturbation | None = None
    seed: int = 0


def gather(
    paths: Sequence[Path],
    references: Sequence[Path] = (),
    *,
    perturbations: Sequence[Perturbation] = (),
    seed: int = 0,
    language: str | None = None,
) -> tuple[Recording, ...]:
    """
    Find every recording and what was said in it.

    Args:
        paths: Audio files, directories (searched with all that is in them) and manifests (.jsonl).
        references: Files that `references.read` reads. They come before what a manifest says.
        language: Of the recordings that do not say theirs.

    Raises:
        ConfigError: There is no recording; a path, manifest or reference cannot be used; a reference fits none or
            several recordings.
        AudioError: A recording cannot be decoded, or is empty.
    """
    found = find(paths)
    called = names(found)
    said = matched(called, found, references)
    plain = [
        _recording(name, one, reference, seed, language)
        for name, one, reference in zip(called, found, said, strict=True)
    ]
    return tuple(recording for one in plain for recording in (one, *_harder(one, perturbations)))


def pcm(recording: Recording) -> bytes:
    """Its audio as it is played: 16 kHz, mono, s16; the same bytes each time. Raises AudioError."""
    audio = b"".join(_blocks(recording.path))
    if recording.perturbation is None:
        return audio
    digest = hashlib.sha256(f"{recording.seed}/{recording.source}".encode()).digest()
    return recording.perturbation.apply(audio, int.from_bytes(digest[:8], "big"))


class Sound(Mapping[str, bytes]):
    """What is played, by the recording's name. Decoded each time that it is asked for: hours of it fill the memory."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = {recording.name: recording for recording in recordings}

    def __getitem__(self, name: str) -> bytes:
        return pcm(self._recordings[name])

    def __contains__(self, name: object) -> bool:
        return name in self._recordings

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)


def _recording(name: str, found: Found, reference: Reference | None, seed: int, language: str | None) -> Recording:
    condition, spoken = found.condition, found.language
    if reference is not None:
        condition, spoken = reference.condition or condition, reference.language or spoken
    ms = _length(found.path)
    _check_times(name, reference, ms)
    return Recording(name, name, found.path, ms, reference, condition, spoken or language, seed=seed)


def _check_times(name: str, reference: Reference | None, ms: int) -> None:
    """Times of another recording, or in another unit, would make wrong latencies and no error."""
    latest = max((word.start for word in reference.words), default=0) if reference is not None else 0
    if latest > ms + _LATE_MS:
        message = f"{name}: words of its reference begin at up to {latest / 1000:g} s, but it ends at {ms / 1000:g} s."
        fix = "Times are seconds in a manifest and ms in a transcript, from the recording's begin; or leave them out."
        raise ConfigError(message, code="bad_reference", fix=fix)


def _length(path: Path) -> int:
    """Milliseconds. Decodes all of it: headers may lie, and what is damaged is better known before the start."""
    ms = milliseconds(sum(map(len, _blocks(path))) // BYTES_PER_SAMPLE)
    if ms == 0:
        raise AudioError(f"{path} is empty.", code="empty_recording", fix="Leave it out.")
    return ms


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        for block in decode_file(path):
            yield block[0]
    except AudioError as error:
        fix = "Leave it out, or replace it by a file that a media player plays from start to end."
        raise AudioError(f"{path}: {error.message}", code=error.code, fix=fix) from error


def _harder(recording: Recording, perturbations: Sequence[Perturbation]) -> Iterator[Recording]:
    for perturbation in {one.name: one for one in perturbations}.values():
        yield replace(
            recording,
            name=f"{recording.source}~{perturbation.name}",
            ms=perturbation.moved(recording.ms),
            reference=recording.reference and recording.reference.moved(perturbation.moved),
            condition=perturbation.says,
            perturbation=perturbation,
        )
