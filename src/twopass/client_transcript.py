"""From a server's messages to a transcript."""

from __future__ import annotations

from twopass.gateway.messages import Segment
from twopass.types import Pass, Revision, Status, Word


def revision_of(segment: Segment) -> Revision:
    """A `segment` message as the type that `transcript.write` takes."""
    return Revision(
        utterance=segment.id,
        revision=segment.revision,
        status=Status(segment.status),
        start=segment.start,
        end=segment.end,
        words=tuple(Word(**word.model_dump()) for word in segment.words),
        source=Pass(segment.source),
        stable=segment.stable,
        degraded=segment.degraded,
        rewritten=segment.rewritten,
        channel=segment.channel,
        language=segment.language,
    )


class Transcript:
    """The latest revision of every utterance."""

    def __init__(self) -> None:
        self._latest: dict[str, Revision] = {}

    def take(self, segment: Segment) -> Revision:
        """Take a message; returns it as a revision."""
        revision = revision_of(segment)
        known = self._latest.get(revision.utterance)
        if known is None or known.order < revision.order:
            self._latest[revision.utterance] = revision
        return revision

    @property
    def revisions(self) -> list[Revision]:
        """In the order of time."""
        return sorted(self._latest.values(), key=lambda r: (r.start, r.channel))
