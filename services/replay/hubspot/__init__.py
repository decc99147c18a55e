"""How does HubSpot's history come in? By its public API: campaigns with their assets, contacts and deals, with their own times.

`client` sends requests within HubSpot's limits. `shared.producers.hubspot_records` says which of our events a record means. `ledger`
keeps between runs which assets a campaign held. `history` goes through the account page by page, so that a run that was stopped is
continued. `options` has what a user may choose.
"""
