"""What the router's agent, the transformer and the ledger are alike in as services: how they log, are told, count, listen and end.

Of the libraries that the agent has not, ``rsgi`` and ``serving`` alone make use: it imports neither.
"""
