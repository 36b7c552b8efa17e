"""Where a ledger keeps its tables: SQLite or PostgreSQL, and the one thread or task that writes."""
