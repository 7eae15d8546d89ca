"""Recordings, what was said in them, and how to make them harder."""
