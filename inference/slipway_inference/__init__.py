"""The transformer: checks requests, adds features, asks Triton for many at once, and says what came of it."""
