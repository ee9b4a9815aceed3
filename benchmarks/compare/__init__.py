"""Ours and the peers in one interleaved run, side by side with the numbers we hold ourselves to."""
