"""The worker: takes a key from the queue, observes, plans, applies."""
