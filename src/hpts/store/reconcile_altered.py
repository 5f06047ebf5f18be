"""Where a drift comes from lines that were changed after they were posted: the first such block.

Only their hashes tell, so every entry is hashed again; done where drift was found, not before.
"""

import uuid
from collections import defaultdict
from typing import Any

import psycopg

from hpts.store.statements import sql
from hpts.store.verify_entries import check_entries
from hpts.store.verify_snapshot import Findings, open_snapshot


def find_altered_block(
    connection: psycopg.Connection[Any], database_url: str, tenant_id: uuid.UUID
) -> int | None:
    """The first block with an entry or line that is not what was posted, None where all are.

    `connection` sees the tenant. Raises TenantUnknown, psycopg.Error.
    """
    findings = Findings()
    with open_snapshot(database_url, tenant_id) as snapshot:
        check_entries(snapshot, findings, lambda what, count: None, defaultdict(int))
    # "journal_lines IDENTIFIER line 3": the row that each finding names
    entries = [row.split()[1] for _, row, _ in findings.all() if not row.startswith("ledger_")]
    cursor = psycopg.RawCursor(connection)
    blocks = []
    for entry_id in entries:
        row = cursor.execute(sql("read_block_of_entry").encode(), [tenant_id, entry_id]).fetchone()
        blocks += [] if row is None else [int(row[0])]
    return min(blocks, default=None)
