"""What the way over a broker costs, and what more workers and batches across sessions gain."""
