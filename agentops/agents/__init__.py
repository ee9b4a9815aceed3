"""The sample agents. ``AGENTOPS_AGENTS`` names all of them unless it is set."""
