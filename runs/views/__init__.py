"""The console's pages about runs and agents."""
