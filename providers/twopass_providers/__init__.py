"""The providers that come with twopass: one folder per vendor or model family."""
