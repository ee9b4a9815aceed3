"""Everything is broken at random under load; at the end every run must have done its work once."""
