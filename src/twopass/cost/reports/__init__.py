"""What the ledger says, as values, pages, sheets and rows."""
