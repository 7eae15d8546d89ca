"""What every second cost: usage, rates, and later the ledger and its reports."""
