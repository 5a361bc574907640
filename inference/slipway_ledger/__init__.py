"""The ledger: keeps who met which arm and what came of it, and answers the sums that experiments are judged by."""
