"""Playing recordings to systems, and keeping what they said."""
