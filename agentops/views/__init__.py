"""The console's shell: what surrounds every page, signing in, and pages for when things fail."""
