"""The outside door: the native socket, the REST API, the pages."""
