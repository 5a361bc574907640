"""Frozen values that observing, deciding and applying hand to each other."""
