"""Measurements of the engine and of its peers. Nothing here is imported by the product."""
