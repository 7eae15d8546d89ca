"""More machines: the second pass behind a broker, gateways on one side and workers on the other."""
