"""Deciding: a pure function from what was observed to what should be."""
