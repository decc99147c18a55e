"""How does HubSpot's history come in? By its public API: campaigns with their assets, contacts and deals, with their own times.

`client` asks within HubSpot's limits, `records` says which of our events a record tells, `ledger` remembers between runs what a
campaign held, and `history` goes through the account, page by page, so that a run that was stopped goes on.
"""
