"""Statistics of Slipway's automatic decisions: pure, without third-party imports."""
