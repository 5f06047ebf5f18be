"""Reads the SQL files, and says which of them a connection prepares.

Every statement the package runs stands in store/sql; none is put together from pieces.
"""

import functools
from importlib.resources import files

WRITER_STATEMENTS = (
    "begin_writing",
    "claim_keys",
    "find_replays",
    "lock_loans",
    "limit_lock_waits",
    "await_loans",
    "lock_loans_of_entry",
    "find_accrued_loans",
    "read_entry_to_reverse",
    "read_lines_to_reverse",
    "read_tenant",
    "insert_entries",
    "insert_lines",
    "insert_entry_loans",
    "insert_moved_accrual",
    "insert_loans",
    "update_loans",
    "add_account_totals",
    "append_block",
    "check_account_totals",
    "record_audit_event",
    "await_standby",
    "read_last_block",
    "commit",
    "roll_back",
)
AUDIT_STATEMENTS = ("enter_tenant", "read_tenant_mark", "record_audit_event")
READER_STATEMENTS = (
    "enter_tenant",
    "read_tenant",
    "read_tenant_mark",
    "read_accounts",
    "read_account",
    "read_loan_balance",
    "read_loan_balances",
    "sum_loan_lines",
    "sum_account_now",
    "sum_account_as_of",
    "sum_trial_balance",
    "sum_trial_balance_as_of",
    "open_account_statement",
    "read_account_entries",
    "read_account_lines",
    "read_loan",
    "open_loan_statement",
    "read_loan_statement",
    "read_journal_entries",
    "sum_known",
    "read_known_backlog",
    "read_restatement",
    "read_entry",
    "read_loan_entries",
    "read_lines",
    "read_entries",
    "read_headlines",
    "read_webhook_endpoints",
    "read_webhook_deliveries",
    "read_open_deliveries",
    "read_next_attempts",
    "read_feed_blocks",
    "read_newest_block",
    "read_is_standby",
    "find_feed_entries",
    "find_entries_of_account",
    "read_last_block",
    "read_position",
    "read_block_hashes",
    "read_block_tiles",
    "read_block_of_entry",
    "read_entry_hashes",
    "read_hashed_entry",
    "read_hashed_lines",
    "read_period_records",
    "read_audit_events",
    "read_schema_version",
)


@functools.cache
def sql(name: str) -> str:
    """The text of store/sql/NAME.sql."""
    return files("hpts.store.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
