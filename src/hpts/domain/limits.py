"""Every bound of the system, in one place, with the relations between them checked at import.

A queue, batch, body, retry or page without a bound here is a defect.
"""

AMOUNT_MINOR_MAX = 2**63 - 1
LINES_PER_ENTRY_MAX = 32_767
LOANS_PER_ACCRUAL_MAX = 10_000
METADATA_BYTES_MAX = 4_096
BODY_BYTES_MAX = 2 * 1024 * 1024
ACTOR_LENGTH_MAX = 255
BODY_SECONDS_MAX = 10
"""How long a client may take to send its body: one that stalls would hold up a stop."""
LARGE_BODY_BYTES = 64 * 1024
"""A body from here on is decoded in a thread, so that payments go on meanwhile."""
ERRORS_MAX = 3 * LOANS_PER_ACCRUAL_MAX
"""Every field of the largest accrual batch may be listed; more errors than that are not."""

QUEUE_POSTINGS_MAX = 4_096
"""Postings that one tenant may have waiting in one worker before the answer is `overloaded`."""
BATCH_POSTINGS_MAX = 512
LINES_PER_PAYMENT_MAX = 5
"""Cash, three components, suspense. Larger entries travel alone: this bounds a batch's lines."""
BATCH_LINES_MAX = LINES_PER_ENTRY_MAX
"""One batch is one INSERT of lines, of many small entries or of one large one."""
QUEUE_WAIT_MS_MAX = 5_000
"""How long a posting may wait for a busy loan or an absent database before the answer is 503."""
BUSY_RETRY_MS = 5
"""Pause before a batch in which every loan was busy is tried again."""
RECONNECT_MS = 100
"""Pause before a lost database is tried again for postings whose COMMIT may have taken effect."""

WRITERS_PER_WORKER = 2
BULK_WRITERS_PER_WORKER = 2
READERS_PER_WORKER = 4
READ_WAITERS_MAX = 1_024
LOANS_PER_READ_MAX = 256
"""Requests for what a loan owes that one query answers."""
STRIPES_MAX = 1_024

ADMIN_REQUESTS_AT_ONCE = 2
"""Administrative changes at work in a worker, each on a connection of its own."""
ADMIN_REQUESTS_MAX = 64
"""At work and waiting; above it the answer is `overloaded`."""

RECONCILIATIONS_AT_ONCE = 2
RECONCILIATIONS_MAX = 16
"""Running and waiting in a worker, each of another tenant or day; each reads a whole journal."""
RECONCILIATIONS_PER_TENANT_MAX = 3
RECONCILIATION_WAIT_SECONDS_MAX = 10
"""For another run of the same tenant; then the latest result is answered."""
RECONCILED_ENTRIES_MAX = 500_000
"""New entries that a reconciliation reads block by block; with more it reads everything at once."""

STATEMENT_FILE_BYTES_MAX = 64 * 1024 * 1024
"""The largest file that `hpts bank import` takes; over HTTP it is the body's bound."""
STATEMENT_FILES_MAX = 100
STATEMENTS_PER_FILE_MAX = 1_000
STATEMENT_LINES_PER_FILE_MAX = 200_000
STATEMENT_REFERENCE_LENGTH_MAX = 255
STATEMENT_REFERENCES_MAX = 16
STATEMENT_TEXT_LENGTH_MAX = 2_000
STATEMENT_ERRORS_MAX = 100
STATEMENT_YEAR_MIN, STATEMENT_YEAR_MAX = 1980, 2079
"""The century that the two digits of a year in an MT940 can mean."""
STATEMENT_READING_SECONDS_MAX = 20
"""Processor seconds that reading a file may take, and one more for each MiB of it."""
STATEMENT_READING_BYTES_MAX = 512 * 1024 * 1024
"""Memory that reading a file may take, and 32 times its size on top."""
BANK_MATCH_WINDOW_DAYS = 3
"""How far bank and ledger may date the same money apart where only the amount tells."""
BANK_REFERENCE_DAYS_MAX = 30
"""How far apart where a reference tells."""
BANK_SUM_ITEMS_MAX = 14
"""Up to so many lines of a day every choice of them is added up: 16,384 sums."""
BANK_SUM_TABLES_MAX = 2_000
BANK_OPEN_ITEMS_MAX = 100_000
"""Unmatched items of either side that one run of the matching looks at, the oldest."""
BANK_BLOCKS_PER_STEP = 1_000
BANK_ENTRIES_PER_STEP = 5_000
"""Entries of the blocks taken over in a transaction, but at least one block."""
BANK_ROWS_AT_ONCE = 1_000
BANK_REFUSED_ITEMS_MAX = 100_000
"""Items of undone matches that the matching remembers, those of the newest."""
"""Blocks whose cash lines are taken over in one transaction."""
BANK_ITEMS_PER_INSERT = 5_000
BANK_MATCH_ITEMS_MAX = 500
"""Items of a match made by hand."""
STATEMENT_IMPORTS_AT_ONCE = 2
"""Running and waiting in a worker; the next is told that too much is waiting."""

PARAMETER_ERRORS_MAX = 100
SLICE_LINES = 4_096
"""When a slice of what was known when is full: so many lines, and those of a block more, are read
one by one for an instant within it."""
FOLDED_BLOCKS_MAX = 512
"""Blocks that are folded at once."""
FOLDED_SLICES_MAX = 16
"""How often that is done in a transaction."""
UNFOLDED_BLOCKS_MAX = 64
"""Above it a read of what was known has the rest folded behind its back."""
PERIOD_REASON_LENGTH_MAX = 500
PAGE_SIZE_MAX = 200
PAGE_SIZE_DEFAULT = 50
PAGE_LINES_MAX = 20_000
"""A page ends early rather than carry more lines than this (it always holds one entry)."""
PAGE_TOKEN_LENGTH_MAX = 512
ENTRIES_SEARCHED_MAX = 10_000
"""A page of an account ends early rather than search more entries than this for its lines."""
RESTATEMENT_SEARCHED_MAX = 10_000
"""And so does a page of a restatement, for entries that touch the account."""

STREAMS_MAX = 4
"""Exports that a worker sends at once, as many as it has readers; each asks one at a time."""
STREAMS_PER_TENANT_MAX = 2
STREAM_SECONDS_MAX = 600
STREAM_STALL_SECONDS_MAX = 30
"""How long a client may take nothing of an export before its connection is broken off."""
STREAM_BYTES_AHEAD_MAX = 1024 * 1024
"""How far an export may be ahead of its client."""
EXPORT_ENTRIES_AT_ONCE = 1_000
"""Entries that one query of an export reads."""
EXPORT_LINES_AT_ONCE = 2_500
"""Lines that an export reads, if they are not of one entry, and renders at a time: payments wait in
the same event loop meanwhile."""

WEBHOOK_ENDPOINTS_MAX = 16
"""Of a tenant."""
WEBHOOK_URL_LENGTH_MAX = 2_048
WEBHOOK_SENDS_AT_ONCE = 32
"""Requests on their way to one endpoint that takes them."""
WEBHOOK_SENDS_AT_ONCE_MIN = 2
"""To one that takes none, so that one which hangs holds up no other."""
WEBHOOK_SECONDS_MAX = 10
"""How long an endpoint may take to answer."""
WEBHOOK_ANSWER_BYTES_MAX = 4_096
WEBHOOK_RETRY_MS_MIN = 1_000
WEBHOOK_RETRY_MS_MAX = 3_600_000
WEBHOOK_RETRY_SECONDS_MAX = 3 * 86_400
"""From the first attempt on; then the delivery is parked."""
WEBHOOK_OPEN_MAX = 1_000
"""Entries of an endpoint on their way, failed or held; what comes after waits in the chain."""
WEBHOOK_OPEN_LOANS_MAX = 100_000
"""Loans of those entries, counted in each; one entry is always taken."""
WEBHOOK_PAGE_MAX = 500
WEBHOOK_POLL_MS = 25
WEBHOOK_FLUSH_MS = 100
WEBHOOK_DELIVERED_DAYS = 7
WEBHOOK_FORGOTTEN_AT_ONCE = 5_000
"""Deliveries that one statement looks at to forget; every endpoint's wait meanwhile."""
WEBHOOK_OLD_SECRET_HOURS = 24
WEBHOOK_OLD_SECRET_HOURS_MAX = 168
RELAY_LOOK_SECONDS = 1
"""How often a relay looks for tenants that nobody holds and for endpoints that have changed."""

FEED_PAGE_MAX = 1_000
FEED_PAGE_DEFAULT = 200
FEED_BLOCKS_MAX = 1_024
FEED_SCAN_ENTRIES_MAX = 4_096
"""Entries that a filtered page of the feed is looked for in; full blocks are not cut."""
FEED_SCAN_LINES_MAX = 200_000
"""Their lines, where an account is looked for (one entry is always looked through)."""
FEED_WAIT_SECONDS_MAX = 30
FEED_WAITERS_MAX = 1_024
"""Readers of the feed that wait in a worker for something to come, and of one tenant."""
FEED_WAITERS_PER_TENANT_MAX = 64
FEED_POLL_MS = 100
FEED_TENANTS_PER_POLL = 64
"""Tenants whose heads are looked at in one round trip."""

CONNECTIONS_PER_WORKER_MAX = 16_384
"""Clients' connections, idle ones included; fewer where the system allows fewer open files."""
TOKEN_CACHE_MAX = 10_000
TOKEN_CACHE_SECONDS_MAX = 60
TOKEN_LEEWAY_SECONDS = 10
TOKEN_BYTES_MAX = 8_192
TOKEN_ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
"""Asymmetric all: whoever can verify a token must not be able to sign one."""

AUDIT_TEXT_LENGTH_MAX = 255
"""Of an actor, a source, a subject; what is longer is cut."""
AUDIT_FOLD_SECONDS = 5
"""Refusals that are equal within this time are one record; so long may one wait to be written."""
REFUSALS_KEPT_MAX = 1_024
"""Different refusals that a worker holds until they are written; more are only counted."""
REFUSALS_KEPT_PER_TENANT_MAX = 64
"""So that one tenant's, or those of nobody known, leave room for the others'."""
AUDIT_BATCH_MAX = 64
"""Records that one transaction writes: it holds up whoever else records something of the tenant."""
AUDIT_EVENTS_SEARCHED_MAX = 10_000
"""A page of audit events ends early rather than look at more of them for those that fit."""
AUDIT_STOP_SECONDS_MAX = 3
"""How long a stop waits for the last refusals to be written."""
ISSUER_KEYS_RECORDED_MAX = 64
"""Issuer's keys that come or go and are recorded at once; the rest is when a worker starts, or when
they change again."""
ISSUER_KEYS_RETRY_SECONDS = 5
"""Pause before a database that was away is asked to record them again."""
FORWARDED_HOPS_MAX = 16
"""Addresses of X-Forwarded-For that are looked at, from the nearest on."""

CERTIFICATE_BYTES_MAX = 8_192
"""The largest client certificate that is taken from a proxy's Client-Cert header."""
CERTIFICATES_REMEMBERED_MAX = 1_024
PARTNER_RELOAD_SECONDS = 3_600
"""How long a partner's connection or TLS session may go on without its certificate being looked at
again, which a handshake does and a resumed session does not."""
PEERS_REMEMBERED_MAX = 1_024
"""Addresses of which a worker remembers whether they are a trusted proxy's."""
RECENT_TENANTS_MAX = 10_000
RECENT_SECONDS_MAX = 5
"""How old what a worker remembers of a tenant may be: whether it must come over mutual TLS, and
where its chain stands on the primary."""
RECENT_REFRESH_SECONDS = 2
"""From this age on it is read again, while requests still go by what is known."""

STANDBY_WAIT_MS_MAX = 500
"""How long a read waits for a standby to replay what the tenant has seen."""
STANDBY_MS_MAX = 1_000
"""After which a read from a standby is given up, whatever it waits for."""
STANDBY_PAUSE_MS_MIN, STANDBY_PAUSE_MS_MAX = 1, 20
STANDBY_AWAY_MS = 1_000
"""How long reads go to the primary before a standby that failed, or was behind, is tried again."""

EARLY_END_AGE_MS_MAX = 5_500
"""Milliseconds from its start within which a worker's end is an early one, as granian has it."""
EARLY_ENDS_MAX = 5
EARLY_ENDS_SECONDS = 60
"""So many workers that end early, in so short a time, end the server."""

RETRY_AFTER_SECONDS = 1
RATE_LIMITED_TENANTS_MAX = 10_000

if BATCH_POSTINGS_MAX > QUEUE_POSTINGS_MAX:
    raise ValueError("a batch must fit into the queue that it is taken from")
if LOANS_PER_ACCRUAL_MAX + 1 > LINES_PER_ENTRY_MAX:
    raise ValueError("the largest accrual batch must fit into one entry")
if BATCH_POSTINGS_MAX * LINES_PER_PAYMENT_MAX > BATCH_LINES_MAX:
    raise ValueError("a full batch of payments must stay within the lines of a batch")
if RECENT_REFRESH_SECONDS >= RECENT_SECONDS_MAX:
    raise ValueError("what is remembered must be read again before it is too old to be used")
if STANDBY_WAIT_MS_MAX >= STANDBY_MS_MAX:
    raise ValueError("a read must have given up waiting before it is given up itself")
if REFUSALS_KEPT_PER_TENANT_MAX > REFUSALS_KEPT_MAX:
    raise ValueError("one tenant's refusals must fit into what is kept of all")
if PAGE_SIZE_DEFAULT > PAGE_SIZE_MAX:
    raise ValueError("the default page must not pass the largest page")
