"""How each figure is defined, with its source. Pure."""
