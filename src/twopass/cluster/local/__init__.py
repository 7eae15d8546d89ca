"""A small real cluster on one machine, for trying out: what runs, how it is started, and who starts it again."""
