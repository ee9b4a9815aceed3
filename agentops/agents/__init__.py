"""The sample agents, one module each. ``AGENTOPS_AGENTS`` names both unless it is set."""
