"""How many items may a question of the read API or of the command line ask for?"""

LIMIT_DEFAULT, LIMIT_MAX = 50, 1_000  # items of a page

JOINED_MIN = 2  # an id with one e-mail joins one other; the index holds who joins more
JOINED_DEFAULT = 5
JOINED_MAX = 2**31 - 1  # what the column holds

HUBSPOT_LIMIT_MAX = 100  # items of a page on HubSpot's own paths, as HubSpot has it
