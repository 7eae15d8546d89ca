"""One module for each kind of broker, imported when an address asks for it. Each has `make(settings)`."""
