"""What the README promises, tried on random agents, random crashes and random orders of events."""
