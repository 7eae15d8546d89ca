"""What was used, and by whom: entries on their way to the ledger, and the budgets that watch them."""
