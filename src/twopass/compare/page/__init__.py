"""A comparison as a page, JSON and CSV."""
