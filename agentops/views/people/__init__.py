"""Settings: oneself, one's tokens and sessions, and for administrators everybody else."""
