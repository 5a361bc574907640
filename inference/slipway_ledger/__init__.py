"""The ledger: keeps who met which arm and what came of it, and answers the sums that experiments are judged by.

No line of its log holds a unit, a request id or a token.
"""
