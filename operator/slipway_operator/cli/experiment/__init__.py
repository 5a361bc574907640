"""``slipway experiment``: what an experiment will take, says now, said at every look, and whether it may be believed."""
