"""Whether recognizers can do what a client asks for: checked when a session starts, not found out in it. Pure."""

from __future__ import annotations

from twopass.errors import ConfigError
from twopass.lineup import Lineup
from twopass.recognizers import Capabilities, Feature, StreamOptions

_NAMES = {
    Feature.DETECTION: "find out which of several languages is spoken",
    Feature.PHRASES: "be told what words to expect",
    Feature.PUNCTUATION: "write or leave out punctuation as asked",
    Feature.PROFANITY: "treat swear words as asked",
    Feature.DIARIZATION: "tell speakers apart",
}


def knows(capabilities: Capabilities, language: str | None) -> bool:
    """Whether it understands a language, whatever the region."""
    known = [tag.lower().split("-")[0] for tag in capabilities.languages]
    return not language or not known or language.lower().replace("_", "-").split("-")[0] in known


def check_language(options: StreamOptions, *passes: Capabilities) -> None:
    """Raises ConfigError if one of the passes does not understand a language that is asked for."""
    for language in (options.language, *options.languages):
        for capabilities in passes:
            if not knows(capabilities, language):
                raise ConfigError(
                    f"{capabilities.model} does not understand {language}.",
                    code="unknown_language",
                    fix=f"It understands {', '.join(capabilities.languages)}: choose one of these, or another profile.",
                )


def check_wishes(options: StreamOptions, first: Capabilities, second: Capabilities) -> None:
    """Raises ConfigError if neither pass can do what is asked for."""
    for feature in sorted(options.wishes - first.features - second.features):
        can = ", ".join(sorted(first.features | second.features)) or "nothing of the kind"
        raise ConfigError(
            f"Neither {first.model} nor {second.model} can {_NAMES[feature]}.",
            code="unsupported_option",
            fix=f"Leave the option `{feature}` out, or use another profile. This one can: {can}.",
        )


def able(lineup: Lineup, options: StreamOptions) -> Lineup:
    """Those of the list that understand the languages; the first is known to."""
    wanted = (options.language, *options.languages)
    return tuple(line for line in lineup if all(knows(line.capabilities, language) for language in wanted))
