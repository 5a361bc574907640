"""Deciding about Experiments: whose turn it is, who gets which share, what a look says and what follows from it."""
