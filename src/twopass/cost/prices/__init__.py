"""What a second costs: rate cards, exchange rates, and the pure function that prices usage."""
