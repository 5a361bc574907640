"""Version v1alpha1 of group slipway.dev."""
