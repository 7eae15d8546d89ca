"""How the ledger's tables came about, one step after the other. `env.py` and `versions/` are read by Alembic."""

HEAD = "0001"
"""The newest revision: a database that has it needs nothing, and Alembic is not even loaded."""
