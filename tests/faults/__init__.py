"""What can go wrong on the way from a mouth to a transcript, from a seed: `make faults`, `make load`, `make soak`."""
