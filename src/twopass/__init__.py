"""Live speech-to-text that appears at once and ends up right."""
