-- store/bank_ledger.py: the settled lines of an account and currency in blocks, each the entries from one
-- identifier to another, with what may name them at the bank. Takes no lock.
SELECT line.journal_entry_id, line.sequence, line.direction, line.amount_minor, entry.effective_at,
    entry.idempotency_key, entry.details::text, entry.event_type, entry.reverses_entry_id,
    original.idempotency_key, original.details::text
FROM unnest(%(first_ids)s::uuid[], %(last_ids)s::uuid[]) AS block (first_entry_id, last_entry_id)
CROSS JOIN LATERAL (
    SELECT journal_entry_id, sequence, direction, amount_minor
    FROM journal_lines
    WHERE tenant_id = %(tenant_id)s
        AND journal_entry_id BETWEEN block.first_entry_id AND block.last_entry_id
        AND account_code = %(account_code)s AND currency = %(currency)s AND layer = 'S'
    OFFSET 0
) AS line
CROSS JOIN LATERAL (
    SELECT effective_at, idempotency_key, details, event_type, reverses_entry_id
    FROM journal_entries
    WHERE tenant_id = %(tenant_id)s AND journal_entries.journal_entry_id = line.journal_entry_id
    OFFSET 0
) AS entry
LEFT JOIN LATERAL (
    SELECT idempotency_key, details
    FROM journal_entries
    WHERE tenant_id = %(tenant_id)s AND journal_entries.journal_entry_id = entry.reverses_entry_id
    OFFSET 0
) AS original ON true
