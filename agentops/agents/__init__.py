"""The sample agents, one module each. ``AGENTOPS_AGENTS`` names all unless it is set."""
