"""Where the ledger's rows are: one set of statements (``rows``), two databases (``sqlite``, ``postgres``)."""
