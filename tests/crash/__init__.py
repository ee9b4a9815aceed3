"""Real processes are killed, frozen, cut off and restarted; what they did must stand, once."""
