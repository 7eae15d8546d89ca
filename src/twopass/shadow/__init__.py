"""Live sessions that a second provider hears too, for comparison."""
