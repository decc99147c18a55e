"""How is HubSpot's history imported? By its public API: campaigns with their assets, contacts and deals, with their own times.

`client` sends requests within HubSpot's limits. `shared.producers.hubspot_records` turns records into our events. `ledger` stores
between runs which assets a campaign held. `history` reads the account page by page, so that a stopped run can be continued.
`options` has the values that a user may choose.
"""
