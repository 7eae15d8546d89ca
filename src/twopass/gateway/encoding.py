"""Domain events as messages of the socket. Pure."""

from __future__ import annotations

from twopass.cost.prices.running import CostSummary
from twopass.cost.usage.budgets import BudgetState, Level
from twopass.engine import Speaker
from twopass.errors import TwopassError
from twopass.gateway import messages
from twopass.outbox import (
    Acknowledged,
    AudioSkipped,
    BudgetTold,
    CostChanged,
    Event,
    Expiring,
    GapMarked,
    Problem,
    ProviderTrouble,
    SessionEnded,
    SpeechChanged,
)
from twopass.types import Revision


def described(speaker: Speaker) -> messages.PassDescription:
    """Who speaks, for people."""
    c = speaker.capabilities
    return messages.PassDescription(
        provider=c.provider, model=c.model, understands=c.understands, notice=speaker.notice
    )


def encoded(number: int, event: Event) -> messages.ServerMessage:
    """An event of a session with its number."""
    match event:
        case Revision():
            return _segment(number, event)
        case SpeechChanged(state, at, channel):
            return messages.Speech(event=number, state=state, at=at, channel=channel)
        case Acknowledged(samples, received, durable):
            return messages.Ack(event=number, samples=samples, bytes=received, durable=durable)
        case AudioSkipped(start, end, depth, over, channel):
            return messages.Backpressure(
                event=number,
                from_=start,
                to=end,
                depth_ms=depth,
                state="over" if over else "skipping",
                channel=channel,
            )
        case ProviderTrouble(pass_, provider, state, reason, channel, to):
            return messages.ProviderChange(
                event=number,
                pass_=pass_.value,
                provider=provider,
                state=state,
                reason=reason,
                channel=channel,
                to=to,
            )
        case CostChanged(audio_ms, summary):
            return _cost(number, audio_ms, summary)
        case BudgetTold(state):
            return _budget(number, state)
        case GapMarked() | Expiring() | Problem() | SessionEnded():
            return _of_session(number, event)


def _of_session(number: int, event: GapMarked | Expiring | Problem | SessionEnded) -> messages.ServerMessage:
    match event:
        case GapMarked(start, end):
            return messages.Gap(event=number, from_=start, to=end)
        case Expiring(seconds):
            return messages.Expiring(event=number, in_seconds=seconds)
        case Problem(problem, fatal):
            return error(number, problem, fatal=fatal)
        case SessionEnded(audio_ms, utterances, words, degraded):
            return messages.Ended(
                event=number, audio_ms=audio_ms, utterances=utterances, words=words, degraded=degraded
            )


def error(number: int, problem: TwopassError, *, fatal: bool) -> messages.ErrorMessage:
    """An error with its fix."""
    return messages.ErrorMessage(
        event=number,
        code=problem.code,
        message=problem.message,
        fix=problem.fix,
        retryable=problem.retryable,
        fatal=fatal,
    )


def _segment(number: int, revision: Revision) -> messages.Segment:
    words = tuple(
        messages.WordMessage(
            text=w.text,
            start=w.start,
            end=w.end,
            confidence=w.confidence,
            estimated=w.estimated,
            glued=w.glued,
            speaker=w.speaker,
        )
        for w in revision.words
    )
    return messages.Segment(
        event=number,
        id=revision.utterance,
        revision=revision.revision,
        status=revision.status.value,
        start=revision.start,
        end=revision.end,
        text=revision.text,
        words=words,
        source=revision.source.value,
        stable=revision.stable,
        rewritten=revision.rewritten,
        degraded=revision.degraded,
        channel=revision.channel,
        language=revision.language,
    )


def _budget(number: int, state: BudgetState) -> messages.BudgetMessage:
    budget = state.budget
    return messages.BudgetMessage(
        event=number,
        state="spent" if state.level is Level.SPENT else "near",
        period=budget.period.value,
        policy=budget.policy.value,
        share=float(state.spent / budget.limit) if budget.limit else 1.0,
    )


def _cost(number: int, audio_ms: int, summary: CostSummary) -> messages.Cost:
    lines = tuple(
        messages.CostLine(
            pass_=line.pass_.value,
            provider=line.provider,
            sku=line.sku,
            clock=line.clock.value,
            seconds=round(line.seconds, 3),
            amount=f"{line.cost.amount:.8f}" if line.cost else None,
            currency=line.cost.currency if line.cost else None,
        )
        for line in summary.lines
    )
    totals = {money.currency: f"{money.amount:.8f}" for money in summary.totals}
    return messages.Cost(event=number, audio_ms=audio_ms, lines=lines, totals=totals, unpriced=summary.unpriced)
