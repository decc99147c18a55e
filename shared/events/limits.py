"""How large may a thing be? Every limit has its unit in its name and its reason beside it."""

EVENT_ID_CHARACTERS_MAX = 128  # an idempotency key: UUIDs, hashes and composed keys fit
ID_CHARACTERS_MAX = 256  # ids of other systems, kept opaque
TEXT_CHARACTERS_MAX = 1_024  # names and titles, shown on one line
URL_CHARACTERS_MAX = 8_192  # what browsers and proxies carry in practice
COUNT_MAX = 1_000_000_000  # an increment; leaves room to add 9 billion of them in 64 bits
AMOUNT_DIGITS_MAX = 14  # major units; in minor units (4 decimals at most) still within 64 bits
MACHINE_RULES_MAX = 100  # parts of user agents; each is looked for in each new agent
INTERNAL_DOMAINS_MAX = 1_000  # of a holding with many brands
OWN_HOSTS_MAX = 1_000  # of a holding with many brands, each with its countries
IGNORED_REFERRERS_MAX = 1_000  # beside the published ones: payment pages and sign-ins of a workspace's own
PAGE_PARAMETERS_MAX = 50  # names that tell one page from another; a site has a few
NOBODY_WORDS_MAX = 1_000  # a workspace's own; every ingest process holds them in memory for each workspace
CONTACTS_PER_DEAL_EVENT_MAX = 100  # more are sent as deal_contact_associated

EVENT_BYTES_MAX = 32 * 1024  # one event; a Kafka record stays far below the broker's default
EVENTS_PER_REQUEST_MAX = 1_000  # one append; bounds the time that one request holds the log
REQUEST_BYTES_MAX = 1024 * 1024  # collect keys, after decompression: they are public
REQUEST_BYTES_SERVER_MAX = 10 * 1024 * 1024  # server keys, after decompression

OCCURRED_AT_MIN_US = -(70 * 365 + 17) * 86_400_000_000  # 1900-01-01: an earlier instant is a mistake of its sender
FUTURE_HOURS_MAX = 24  # rule future: clocks differ, calendars do not
COLLECT_AGE_DAYS_MAX = 7  # rule future: a browser may hold events back while it is offline
