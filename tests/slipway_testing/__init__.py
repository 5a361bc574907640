"""What tests share: builders of valid values, and waiting for the real cluster."""
