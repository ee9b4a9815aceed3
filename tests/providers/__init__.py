"""Models: which is asked, how, and what comes back."""
