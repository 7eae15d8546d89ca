"""
The configuration: one YAML file, read once, frozen.

Functions get values, not the configuration. Everything has a default but the profiles. Secrets do not belong here:
providers read them from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from twopass.cost.prices.rates import Money
from twopass.cost.usage.budgets import Budget, Period, Policy
from twopass.cost.usage.treasury import LedgerSettings
from twopass.errors import ConfigError
from twopass.first_pass_contract import FirstPassSettings
from twopass.gateway.limits import SessionSettings
from twopass.guard import GuardSettings
from twopass.second_pass import SecondPassSettings
from twopass.segmenter import SegmenterSettings
from twopass.shadow.settings import ShadowSettings
from twopass.spool import SpoolSettings
from twopass.vad import SILERO

LEDGER_VARIABLE = "TWOPASS_LEDGER"
SPOOL_VARIABLE = "TWOPASS_SPOOL"
BROKER_VARIABLE = "TWOPASS_BROKER"
IN_PROCESS = "inprocess"
_DISPATCH = rf"^({IN_PROCESS}$|nats://|rediss?://|amqps?://|kafka://)"
_EXAMPLE = "configs/local.yaml shows every setting."
_S = TypeVar("_S", SegmenterSettings, FirstPassSettings, SecondPassSettings, SessionSettings)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PassConfig(_Part):
    """
    Which recognizer does a pass. Everything but `provider` and `fallback` are the provider's own settings.

    Attributes:
        fallback: What to use while the provider cannot be used (weights not there, for one).
        failover: What goes on, in this order, when it fails while people speak; it is taken back when it is well.
            First pass only.
        race: What hears the same at the same time: who answers first is shown, and both cost. First pass only.
        dispatch: Where it works: `inprocess`, or the address of a broker at which workers of the same configuration
            wait for utterances (nats://, redis://, amqp://, kafka://). Second pass only.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    provider: str
    fallback: PassConfig | None = None
    failover: tuple[PassConfig, ...] = ()
    race: PassConfig | None = None
    dispatch: Annotated[str, Field(pattern=_DISPATCH)] = IN_PROCESS

    @property
    def settings(self) -> Mapping[str, Any]:
        """The provider's own settings."""
        return MappingProxyType(self.model_extra or {})


def _no_negative(settings: _S) -> _S:
    for name in (field.name for field in fields(settings)):
        if getattr(settings, name) < 0:
            raise ValueError(f"{name} must not be negative")
    return settings


class Profile(_Part):
    """One way to recognize: a first and a second pass, and how to cut."""

    title: str = ""
    language: str | None = None
    first_pass: PassConfig
    second_pass: PassConfig
    segmenter: Annotated[SegmenterSettings, AfterValidator(_no_negative)] = SegmenterSettings()
    first_pass_run: Annotated[FirstPassSettings, AfterValidator(_no_negative)] = FirstPassSettings()
    second_pass_run: Annotated[SecondPassSettings, AfterValidator(_no_negative)] = SecondPassSettings()
    guard: GuardSettings = GuardSettings()

    @field_validator("first_pass")
    @classmethod
    def _here(cls, first_pass: PassConfig) -> PassConfig:
        if first_pass.dispatch != IN_PROCESS:
            raise ValueError("dispatch is for the second pass; streams stay where their session is")
        return first_pass

    @field_validator("second_pass")
    @classmethod
    def _alone(cls, second_pass: PassConfig) -> PassConfig:
        if second_pass.failover or second_pass.race:
            raise ValueError("failover and race are for the first pass; the second pass has `fallback`")
        return second_pass


class TlsConfig(_Part):
    """
    Files in PEM format.

    Attributes:
        certificate: The server's, followed by those that lead to a known authority.
        key: Its private key.
    """

    certificate: Path
    key: Path


class ServerConfig(_Part):
    """
    Where to listen and how much to accept.

    Attributes:
        max_upload_mb: The largest file for /v1/transcriptions.
        max_sessions: More are refused with a clear error.
        tls: With what to serve https and wss; None serves http and ws.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    max_upload_mb: Annotated[int, Field(ge=1)] = 1024
    max_sessions: Annotated[int, Field(ge=1)] = 64
    tls: TlsConfig | None = None


Origin = Annotated[str, Field(pattern=r"^https?://[^/\s]+$"), AfterValidator(str.lower)]


class DoorsConfig(_Part):
    """
    Who gets in, and how much one visitor may do.

    Attributes:
        keys: The file of the API keys; see `twopass keys`. None lets everybody in who can reach the server.
        origins: Sites whose pages may use the server, such as https://example.org; its own always may.
        token_seconds: How long the tokens of /v1/tokens can be used.
        trusted_proxies: Addresses and networks whose word is taken for where a client comes from.
        connections_per_address: How many an address may have at once, sockets and requests.
        sessions_per_address: How many sessions.
        messages_per_second: Text messages on one socket; more have to wait, and are a mistake.
        frames_per_second: Frames of audio on one socket; more have to wait.
        handshake_seconds: How long a client may take to say what it wants.
        waiting_connections: How many clients may be taking that long at once.
        upload_seconds: How long may pass between two pieces of an upload.
        open_metrics: Whether /metrics can be read without a key.
    """

    keys: Path | None = None
    origins: tuple[Origin, ...] = ()
    token_seconds: Annotated[int, Field(ge=1)] = 300
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    connections_per_address: Annotated[int, Field(ge=1)] = 100
    sessions_per_address: Annotated[int, Field(ge=1)] = 16
    messages_per_second: Annotated[float, Field(gt=0)] = 50.0
    frames_per_second: Annotated[float, Field(gt=0)] = 1000.0
    handshake_seconds: Annotated[float, Field(gt=0)] = 10.0
    waiting_connections: Annotated[int, Field(ge=1)] = 256
    upload_seconds: Annotated[float, Field(gt=0)] = 30.0
    open_metrics: bool = True


def _money(value: Any) -> Any:
    """ "0.04 USD" as money."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ([A-Z]{3})", str(value))
    if found is None:
        raise ValueError("write an amount and a currency, such as 0.04 USD")
    return Money(Decimal(found[1]), found[2])


Price = Annotated[Money, BeforeValidator(_money)]


class BudgetConfig(_Part):
    """
    What may be spent; see `twopass.cost.usage.budgets.Budget`.

    Attributes:
        tenant, key: Whose (a key by its id); without either it is everybody's together.
        limit: In the ledger's currency.
    """

    tenant: str | None = None
    key: str | None = None
    period: Period
    limit: Price
    policy: Policy = Policy.WARN
    warn_at: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.8")

    @property
    def budget(self) -> Budget:
        """As a value."""
        return Budget(self.period, self.limit.amount, self.policy, self.tenant, self.key, self.warn_at)


def _at_home(url: str | None) -> str | None:
    return url.replace(":///~/", f":///{Path.home()}/", 1) if url else url


Machines = Mapping[str, Annotated[int, Field(ge=1)]]


class LedgerConfig(_Part):
    """
    Where it is written down what everything cost.

    Attributes:
        url: SQLite (sqlite:////var/lib/twopass/ledger.sqlite) or PostgreSQL (postgresql+psycopg://user@host/name; the
            password comes from PGPASSWORD or ~/.pgpass). None keeps no ledger.
        currency: Of the reports and budgets; other currencies are converted with `exchange`.
        prices: A file of your own contracted prices; see configs/prices-example.yaml.
        exchange: A file of dated exchange rates; see configs/exchange-example.yaml.
        waiting: A directory for what the ledger could not take yet.
        provisioned: How many of which machine (as in `prices`) run for each server (`twopass serve`), whether they work
            or not.
        worker_provisioned: The same for each worker (`twopass worker`).
        budgets: What may be spent.
    """

    url: Annotated[str | None, AfterValidator(_at_home)] = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    prices: Path | None = None
    exchange: Path | None = None
    waiting: Path = Path("~/.local/state/twopass/entries")
    provisioned: Machines = Field(default_factory=dict)
    worker_provisioned: Machines = Field(default_factory=dict)
    budgets: tuple[BudgetConfig, ...] = ()

    @property
    def settings(self) -> LedgerSettings:
        """As a value, for a server."""
        budgets = tuple(budget.budget for budget in self.budgets)
        return LedgerSettings(self.url, self.currency, self.waiting, MappingProxyType(dict(self.provisioned)), budgets)

    @property
    def worker_settings(self) -> LedgerSettings:
        """For a worker: it has its own machines, and the sessions' servers mind the budgets."""
        machines = MappingProxyType(dict(self.worker_provisioned))
        return LedgerSettings(self.url, self.currency, self.waiting, machines, ())

    @model_validator(mode="after")
    def _consistent(self) -> LedgerConfig:
        if self.budgets and self.url is None:
            raise ValueError("budgets need a ledger: give it a url, such as sqlite:////var/lib/twopass/ledger.sqlite")
        for budget in self.budgets:
            if budget.limit.currency != self.currency:
                raise ValueError(f"the limit of a budget must be in {self.currency}, as the ledger is")
        return self


Share = Annotated[float, Field(ge=0, le=1)]


class ShadowConfig(_Part):
    """
    Which live sessions a second provider hears too, for comparison with what was shown; see `twopass.shadow.shadows`.

    Attributes:
        recognizer: Who hears them, as a first pass alone.
        share: Of the sessions, 0..1.
        tenants: Other shares, by tenant.
        limit: What all shadows together may cost in a period, in the ledger's currency; then no more is heard.
        directory: Where both transcripts of each session are kept, until somebody removes them.
        max_mb: How much they may take; then no more is heard.
    """

    recognizer: PassConfig
    share: Share = 0.0
    tenants: Mapping[str, Share] = Field(default_factory=dict)
    limit: Price
    period: Period = Period.MONTH
    directory: Path = Path("~/.local/state/twopass/shadow")
    max_mb: Annotated[int, Field(ge=1)] = 1024

    @field_validator("recognizer")
    @classmethod
    def _alone(cls, recognizer: PassConfig) -> PassConfig:
        if recognizer.failover or recognizer.race or recognizer.fallback:
            raise ValueError("a shadow is one recognizer: it has no failover, race or fallback")
        return recognizer

    @property
    def settings(self) -> ShadowSettings:
        """As a value."""
        return ShadowSettings(
            share=self.share,
            tenants=MappingProxyType(dict(self.tenants)),
            limit=self.limit.amount,
            currency=self.limit.currency,
            period=self.period,
            directory=self.directory.expanduser(),
            max_bytes=self.max_mb << 20,
        )


def _one_place(spool: SpoolSettings) -> SpoolSettings:
    if spool.url is not None:
        if spool.directory is not None:
            raise ValueError("sessions are kept in a directory or at a url, not both")
        if not spool.url.startswith(("redis://", "rediss://")):
            raise ValueError("the url must be a Redis: redis://host:port/db")
        if spool.sync or spool.keep_hours:
            raise ValueError("sync and keep_hours are for a directory; Redis has settings of its own for that")
    return spool


class Config(_Part):
    """
    The whole file.

    Attributes:
        doors: Who gets in.
        default: The profile of sessions that name none.
        prices: What an hour of an own machine costs, by machine: cpu_core, gpu.
        sessions: How long sessions wait and last.
        spool: Where they are kept on disk, so that a crash of the server ends none.
        ledger: Where it is written down what everything cost.
        shadow: Who hears a share of the live sessions too, for comparison; None for nobody.
        voice: The voice detector, "module:function"; see `twopass.vad.VoiceDetector`.
        download: Whether the server may download model weights that a profile names and this machine lacks.
    """

    server: ServerConfig = ServerConfig()
    doors: DoorsConfig = DoorsConfig()
    profiles: Annotated[Mapping[str, Profile], Field(min_length=1)]
    default: str
    prices: Mapping[str, Price] = Field(default_factory=dict)
    sessions: Annotated[SessionSettings, AfterValidator(_no_negative)] = SessionSettings()
    spool: Annotated[SpoolSettings, AfterValidator(_one_place)] = SpoolSettings()
    ledger: LedgerConfig = LedgerConfig()
    shadow: ShadowConfig | None = None
    voice: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = SILERO
    download: bool = True

    @field_validator("default")
    @classmethod
    def _default_exists(cls, default: str, info: ValidationInfo) -> str:
        profiles = info.data.get("profiles")
        if profiles is not None and default not in profiles:
            raise ValueError(f"there is no profile {default!r}; there are: {', '.join(profiles)}")
        return default

    @field_validator("shadow")
    @classmethod
    def _same_currency(cls, shadow: ShadowConfig | None, info: ValidationInfo) -> ShadowConfig | None:
        ledger = info.data.get("ledger")
        if shadow is not None and ledger is not None and shadow.limit.currency != ledger.currency:
            raise ValueError(f"the limit must be in {ledger.currency}, as the ledger is")
        return shadow


def parse(text: str, *, name: str = "configuration") -> Config:
    """Read a configuration. Raises ConfigError that names the place and what is wrong with it."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigError(f"{name} is not YAML: {error}.", fix=_EXAMPLE) from None
    try:
        return Config.model_validate({} if document is None else document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: {where}: {what}.", fix=_EXAMPLE) from None


def load(path: Path) -> Config:
    """
    Read a configuration file. What may hold passwords can come from the environment instead: TWOPASS_LEDGER and
    TWOPASS_SPOOL name other urls than `ledger` and `spool`, TWOPASS_BROKER another broker than `dispatch` (but not for
    second passes that are in the process). Raises ConfigError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path} cannot be read: {why}.", fix="Name a file with --config.") from None
    config = _with_ledger(parse(text, name=str(path)), os.environ.get(LEDGER_VARIABLE))
    return _with_broker(_with_spool(config, os.environ.get(SPOOL_VARIABLE)), os.environ.get(BROKER_VARIABLE))


def _with_ledger(config: Config, url: str | None) -> Config:
    """With another ledger than the file's; with none if the variable is empty."""
    if url is None:
        return config
    ledger = config.ledger.model_copy(update={"url": url or None, "budgets": config.ledger.budgets if url else ()})
    return config.model_copy(update={"ledger": ledger})


def _with_spool(config: Config, url: str | None) -> Config:
    """With sessions at another place. Raises ConfigError if they cannot be kept there."""
    if not url:
        return config
    try:
        spool = _one_place(replace(config.spool, url=url, directory=None))
    except ValueError as error:
        raise ConfigError(f"{SPOOL_VARIABLE}: {error}.", fix=_EXAMPLE) from None
    return config.model_copy(update={"spool": spool})


def _with_broker(config: Config, url: str | None) -> Config:
    """With another broker for the second passes that have one. Raises ConfigError if it is none."""
    if not url:
        return config
    if not re.match(_DISPATCH, url) or url == IN_PROCESS:
        raise ConfigError(f"{BROKER_VARIABLE} is the address of no broker.", fix="Write nats://host:port, for one.")
    profiles = {name: _dispatching(profile, url) for name, profile in config.profiles.items()}
    return config.model_copy(update={"profiles": MappingProxyType(profiles)})


def _dispatching(profile: Profile, url: str) -> Profile:
    if profile.second_pass.dispatch == IN_PROCESS:
        return profile
    return profile.model_copy(update={"second_pass": profile.second_pass.model_copy(update={"dispatch": url})})


def default_path() -> Path:
    """configs/local.yaml here, in the checkout, or as it was packed into the wheel."""
    here = Path("configs/local.yaml")
    package = Path(str(files("twopass")))
    candidates = (here, package.parent.parent / here, package / "assets" / "local.yaml")
    return next((path for path in candidates if path.is_file()), here)
