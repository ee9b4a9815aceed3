"""The REST API of requests to people."""
