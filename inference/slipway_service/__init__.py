"""What the router's agent, the transformer and the ledger are alike in as services: how they log, are told, count, listen and end.

``rsgi`` and ``serving`` need msgspec and granian, which the agent's image has not: the agent imports neither.
"""
