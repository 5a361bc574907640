"""Shadows: a revision that is asked what another one answered, and whose answers nobody sees."""
