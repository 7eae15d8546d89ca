"""The first tables: usage, which only grows, and what is made from it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, String

revision = "0001"
down_revision = None

_COUNTED = BigInteger().with_variant(Integer(), "sqlite")
_REFUSAL = "usage is append-only: write another entry that corrects it"


def upgrade() -> None:
    """Make everything."""
    _make_usage()
    _make_usage_append_only()
    _make_charges()
    _make_rates()
    _make_the_rest()


def _make_usage() -> None:
    op.create_table(
        "usage",
        Column("number", _COUNTED, primary_key=True, autoincrement=True),
        Column("id", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("day", Date, nullable=False),
        Column("session", String, nullable=False),
        Column("request", String, nullable=False),
        Column("tenant", String, nullable=False),
        Column("key_id", String, nullable=False),
        Column("provider", String, nullable=False),
        Column("sku", String, nullable=False),
        Column("pass_", String, nullable=False),
        Column("clock", String, nullable=False),
        Column("reason", String, nullable=False),
        Column("channels", Integer, nullable=False),
        Column("features", String, nullable=False),
        Column("region", String, nullable=False),
        Column("micros", BigInteger, nullable=False),
        Column("corrects", String),
        Column("note", String, nullable=False),
    )
    op.create_index("usage_by_id", "usage", ["id"], unique=True)
    op.create_index("usage_by_day", "usage", ["day", "provider", "sku"])
    op.create_index("usage_by_request", "usage", ["request"])


def _make_usage_append_only() -> None:
    """Programs err, and people with an SQL prompt do: what was used stays on record."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION usage_refuses() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER usage_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON usage "
            "FOR EACH STATEMENT EXECUTE FUNCTION usage_refuses()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER usage_refuses_{change.lower()} BEFORE {change} ON usage "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )


def _make_charges() -> None:
    op.create_table(
        "charges",
        Column("request", String, primary_key=True),
        Column("provider", String, primary_key=True),
        Column("sku", String, primary_key=True),
        Column("clock", String, primary_key=True),
        Column("line", Integer, primary_key=True),
        Column("day", Date, nullable=False),
        Column("session", String, nullable=False),
        Column("tenant", String, nullable=False),
        Column("key_id", String, nullable=False),
        Column("pass_", String, nullable=False),
        Column("reason", String, nullable=False),
        Column("region", String, nullable=False),
        Column("feature", String, nullable=False),
        Column("used_micros", BigInteger, nullable=False),
        Column("billed_micros", BigInteger, nullable=False),
        Column("unit", String, nullable=False),
        Column("unit_price_nanos", BigInteger),
        Column("list_nanos", BigInteger),
        Column("credit_nanos", BigInteger),
        Column("currency", String, nullable=False),
        Column("cost_nanos", BigInteger),
        Column("local", Boolean, nullable=False),
    )
    op.create_index("charges_by_day", "charges", ["day", "provider", "sku"])


def _make_rates() -> None:
    op.create_table(
        "rates",
        Column("provider", String, primary_key=True),
        Column("sku", String, primary_key=True),
        Column("clock", String, primary_key=True),
        Column("line", Integer, primary_key=True),
        Column("provider_name", String, nullable=False),
        Column("service", String, nullable=False),
        Column("vendor_sku", String, nullable=False),
        Column("unit", String, nullable=False),
        Column("currency", String, nullable=False),
        Column("first_price_nanos", BigInteger),
        Column("effective_from", Date),
        Column("effective_to", Date),
        Column("source", String, nullable=False),
        Column("read_on", Date),
        Column("confidence", String, nullable=False),
        Column("doubt", String, nullable=False),
        Column("local", Boolean, nullable=False),
        Column("compared_only", Boolean, nullable=False),
    )


def _make_the_rest() -> None:
    op.create_table(
        "facts",
        Column("name", String, primary_key=True),
        Column("value", String, nullable=False),
    )
    op.create_table(
        "stale",
        *(Column(name, String, primary_key=True) for name in ("provider", "sku", "clock", "month")),
        Column("mark", String, nullable=False),
    )
    op.create_table(
        "conflicts",
        Column("id", String, primary_key=True),
        Column("refused", String, primary_key=True),
        Column("seen", DateTime(timezone=True), nullable=False),
    )
