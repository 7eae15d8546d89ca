"""
What Alembic runs: the migrations, on the connection and in the transaction of whoever wants them.

A new revision is a new file in `versions/`, and its name becomes `HEAD`; a test compares the result with `schema`.
"""

from __future__ import annotations

from alembic import context

from twopass.cost.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
