"""Where usage and charges are kept: SQLite or PostgreSQL."""
