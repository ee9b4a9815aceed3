"""Clients of providers, one module for each, so that only those in use are imported."""
