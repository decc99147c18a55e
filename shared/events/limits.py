"""Which limits apply to events and requests? Every limit has its unit in its name and its reason beside it."""

EVENT_ID_CHARACTERS_MAX = 128  # an idempotency key: UUIDs, hashes and composed keys fit
ID_CHARACTERS_MAX = 256  # ids of other systems, kept opaque
TEXT_CHARACTERS_MAX = 1_024  # names and titles, shown on one line
URL_CHARACTERS_MAX = 8_192  # what browsers and proxies carry in practice
COUNT_MAX = 1_000_000  # an increment: a day's impressions of one ad; more in one event is an error or an attack
# Older logs may hold counts above today's limit. 9 billion such counts add up within 64 bits.
COUNT_STORED_MAX = 1_000_000_000
DAYS_MAX = 100 * 366  # a lookback or half-life: a century, longer than any data
WEIGHT_MAX = 1_000_000  # of a model, in percent; only their proportion counts
AMOUNT_DIGITS_MAX = 14  # major units; in minor units (4 decimals at most) still within 64 bits
MACHINE_RULES_MAX = 100  # parts of user agents; each is searched in each new user agent
INTERNAL_DOMAINS_MAX = 1_000  # of a holding with many brands
OWN_HOSTS_MAX = 1_000  # of a holding with many brands, each with its countries
IGNORED_REFERRERS_MAX = 1_000  # beside the published ones: a workspace's own payment and sign-in pages
STAGES_MAX = 200  # of all pipelines of a large company together
MAIL_PLACES_MAX = 10  # where a mail sender's message may name its asset; each is checked for each message
WEBHOOK_MESSAGES_MAX = 10_000  # of one call: SendGrid sends at most 768 KB, and an event has at least some 100 bytes
MAPPED_NAMES_MAX = 500  # of an outside producer's events in one setting: a tracking plan has dozens
MAPPED_EVENTS_MAX = 5  # events made of one message: a deal that is created and won is two
MAPPED_DEPTH_MAX = 3  # a contact within a list within the fields
TEMPLATE_CHARACTERS_MAX = 512  # where a field comes from: a few paths
PAGE_PARAMETERS_MAX = 50  # query parameters that distinguish pages; a site has a few
NOBODY_WORDS_MAX = 1_000  # a workspace's own; every ingest process holds them in memory for each workspace
CONTACTS_PER_DEAL_EVENT_MAX = 100  # more are sent as deal_contact_associated

EVENT_BYTES_MAX = 32 * 1024  # one event; a Kafka record stays far below the broker's default
UNMAPPED_ENVELOPE_BYTES_MAX = 2 * 1024  # of an unmapped_event without its message: name, id and instants
EVENTS_PER_REQUEST_MAX = 1_000  # in one append; bounds how long one request locks the log
REQUEST_BYTES_MAX = 1024 * 1024  # collect keys, after decompression: they are public
# Brackets, commas and strings of a body that is split into events here; so many take a quarter of a second.
REQUEST_DEPTH_SYMBOLS_MAX = 500_000
REQUEST_LINES_MAX = 100_000  # line breaks of an NDJSON body, empty lines among them; a list of more lines costs memory
REQUEST_COMMAS_MAX = 100_000  # of a JSON body that is split at once: 1,000 events of 100 fields
WORKSPACE_BYTES_MAX = 16 * 1024  # the body of POST /v1/workspaces: a name and two codes
REQUEST_BYTES_SERVER_MAX = 10 * 1024 * 1024  # server keys, after decompression

OCCURRED_AT_MIN_US = -(70 * 365 + 17) * 86_400_000_000  # 1900-01-01: an earlier instant is a mistake of its sender
CLOSED_AT_MAX_US = 230 * 365 * 86_400_000_000  # about 2199: a deal's close date may lie ahead, but not as far
# Rule clock: a sender's clock that is so far ahead, or behind, counts as right. A request may take seconds: it may open a phone's first connection.
CLOCK_AHEAD_US_MAX, CLOCK_BEHIND_US_MAX = 2_000_000, 8_000_000
FUTURE_HOURS_MAX = 24  # rule future: clocks differ, calendars do not
COLLECT_AGE_DAYS_MAX = 7  # rule future: a browser may hold events back while it is offline

HEADERS_BYTES_MAX = 16 * 1024  # of a request, its first line included; what proxies and browsers keep to as well
FIELD_SHOWN_CHARACTERS_MAX = 256  # of a field's name in a refusal; its beginning is enough to recognise it
MESSAGE_CHARACTERS_MAX = 1_024  # of a refusal's message
# Of a body in a dead letter. It is the limit of an event, so every event that can be sent again is stored whole.
KEPT_BYTES_MAX = EVENT_BYTES_MAX

SEGMENT_CALL_BYTES_MAX = 32 * 1024  # Segment's own limits: of a call, and of an event of a batch
SEGMENT_BATCH_BYTES_MAX = 500 * 1024  # of a batch, after decompression
SEGMENT_BATCH_EVENTS_MAX = 2_500  # of a batch
# What a batch's own context may add to all its events together; SDKs add 100 bytes to each.
SEGMENT_SHARED_BYTES_MAX = 4 * 1024 * 1024
