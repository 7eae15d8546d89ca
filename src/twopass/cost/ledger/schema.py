"""
The ledger's tables. `migrations/` makes them; this is what the code sees.

Amounts are whole numbers, so that sums are exact in every database: time in microseconds (`micros`), money in
billionths of a currency unit (`nanos`; 9.2 thousand million units fit). NULL money is an unknown price, never 0.
Texts have no greatest length: one name that is too long would keep a whole batch of entries out of the ledger.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, MetaData, String, Table

metadata = MetaData()

_COUNTED = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts only columns that it calls INTEGER

usage = Table(
    "usage",
    metadata,
    # What was used: append-only. A correction is another entry (`corrects`), with negative micros if need be.
    Column("number", _COUNTED, primary_key=True, autoincrement=True),  # rises as entries arrive, with gaps
    Column("id", String, nullable=False),  # session/number: writing it twice changes nothing
    Column("at", DateTime(timezone=True), nullable=False),  # when it was metered; UTC
    Column("day", Date, nullable=False),  # ... in UTC; of a correction: the day of the entry that it corrects
    Column("session", String, nullable=False),
    Column("request", String, nullable=False),  # what a vendor bills as one: session/stream, or the entry's id
    Column("tenant", String, nullable=False),
    Column("key_id", String, nullable=False),  # of the API key; empty without keys
    Column("provider", String, nullable=False),
    Column("sku", String, nullable=False),
    Column("pass_", String, nullable=False),  # first, second
    Column("clock", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("features", String, nullable=False),  # sorted, with commas
    Column("region", String, nullable=False),
    Column("micros", BigInteger, nullable=False),
    Column("corrects", String),
    Column("note", String, nullable=False),
    Index("usage_by_id", "id", unique=True),
    Index("usage_by_day", "day", "provider", "sku"),
    Index("usage_by_request", "request"),
)

charges = Table(
    "charges",
    metadata,
    # What that costs: made from usage and rate cards, and made anew whenever either has changed.
    Column("request", String, primary_key=True),
    Column("provider", String, primary_key=True),
    Column("sku", String, primary_key=True),
    Column("clock", String, primary_key=True),
    Column("line", Integer, primary_key=True),  # a request has several if it has several reasons, tiers or add-ons
    Column("day", Date, nullable=False),  # when the request began
    Column("session", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("pass_", String, nullable=False),
    Column("reason", String, nullable=False),  # as in usage, or `rounding`: billed, but not used
    Column("region", String, nullable=False),
    Column("feature", String, nullable=False),  # the add-on; empty for the SKU itself
    Column("used_micros", BigInteger, nullable=False),  # of the clock; 0 on lines of add-ons
    Column("billed_micros", BigInteger, nullable=False),  # after increments, minimum and channels
    Column("unit", String, nullable=False),
    Column("unit_price_nanos", BigInteger),  # list price of one unit in `currency`; NULL if unknown
    Column("list_nanos", BigInteger),  # what the billed time costs at that price
    Column("credit_nanos", BigInteger),  # free of charge within the allowance: not negative
    Column("currency", String, nullable=False),
    Column("cost_nanos", BigInteger),  # list - credit, in the ledger's currency; NULL if price or exchange is unknown
    Column("local", Boolean, nullable=False),  # own machines: the marginal cost
    Index("charges_by_day", "day", "provider", "sku"),
)

rates = Table(
    "rates",
    metadata,
    # The cards' lines with which the charges were made, for the reports to cite. Made anew with the charges.
    Column("provider", String, primary_key=True),
    Column("sku", String, primary_key=True),
    Column("clock", String, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("provider_name", String, nullable=False),
    Column("service", String, nullable=False),
    Column("vendor_sku", String, nullable=False),
    Column("unit", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("first_price_nanos", BigInteger),  # of the first tier; NULL if unknown
    Column("effective_from", Date),
    Column("effective_to", Date),
    Column("source", String, nullable=False),
    Column("read_on", Date),
    Column("confidence", String, nullable=False),
    Column("doubt", String, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("compared_only", Boolean, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    # Name and value: `currency` (the ledger's), `cards` (a hash of what the charges are made with), `priced` (the
    # usage up to this number is charged or stands in `stale`).
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

stale = Table(
    "stale",
    metadata,
    # Whose charges are to be made anew. `mark` differs each time: who began before the last time must not finish.
    Column("provider", String, primary_key=True),
    Column("sku", String, primary_key=True),
    Column("clock", String, primary_key=True),
    Column("month", String, primary_key=True),  # 2026-11
    Column("mark", String, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    # Entries that were not taken into `usage`, because another entry has their id. Never expected; for people to see.
    Column("id", String, primary_key=True),
    Column("refused", String, primary_key=True),  # the entry, as JSON
    Column("seen", DateTime(timezone=True), nullable=False),
)
