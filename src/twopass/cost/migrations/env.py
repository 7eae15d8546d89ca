"""
What Alembic runs: the migrations, on the connection and in the transaction of whoever wants them.

For a new revision, as a developer, with a database that is up to date:

    alembic.command.revision(config, autogenerate=True, message=...)     with config as in `database._migrate`
"""

from __future__ import annotations

from alembic import context

from twopass.cost.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
