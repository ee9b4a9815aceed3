"""The REST door to runs."""
