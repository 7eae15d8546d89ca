"""Measuring: how fast, how steady and how right a recognizer is."""
