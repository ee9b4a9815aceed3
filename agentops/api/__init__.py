"""Conventions of the REST API: who calls, how errors look, how lists are paged."""
