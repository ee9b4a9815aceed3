"""Where models are asked. Nothing here is imported by a process that does not ask any."""
