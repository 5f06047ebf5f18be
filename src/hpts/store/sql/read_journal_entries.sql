-- store/accounting_reads.py: the entries of the blocks after $2 up to $3, in the order of blocks: at most
-- $4 of them, or all of one block. The entries of a block have consecutive identifiers. An entry of one
-- loan has five lines at most, so only those of many are counted. Takes no lock.
WITH next AS (
    SELECT block_number, first_entry_id, entry_count
    FROM ledger_blocks
    WHERE tenant_id = $1::uuid AND block_number > $2::bigint AND block_number <= $3::bigint
    ORDER BY block_number
    LIMIT $4::integer
),
portion AS (
    SELECT block_number, first_entry_id,
        overlay(first_entry_id::text PLACING lpad(to_hex(
            ('x' || right(first_entry_id::text, 4))::bit(16)::integer + entry_count - 1
        ), 4, '0') FROM 33)::uuid AS last_entry_id
    FROM (
        SELECT block_number, first_entry_id, entry_count,
            sum(entry_count) OVER (ORDER BY block_number) AS reached
        FROM next
    ) AS counted
    WHERE reached <= $4::integer OR reached = entry_count
)
SELECT entry.journal_entry_id, entry.event_type, entry.effective_at,
    ((extract(epoch FROM entry.posted_at) - 946684800) * 1000000)::bigint,
    entry.correlation_id, entry.reverses_entry_id, entry.actor, entry.details,
    CASE WHEN entry.loan_id IS NULL THEN (
        SELECT max(sequence) FROM journal_lines AS line
        WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = entry.journal_entry_id
    ) ELSE 5 END AS line_count,
    portion.block_number
FROM portion
CROSS JOIN LATERAL (
    SELECT journal_entry_id, event_type, effective_at, posted_at, correlation_id, reverses_entry_id,
        actor, details, loan_id
    FROM journal_entries
    WHERE tenant_id = $1::uuid
        AND journal_entry_id BETWEEN portion.first_entry_id AND portion.last_entry_id
    OFFSET 0
) AS entry
ORDER BY portion.block_number, entry.journal_entry_id
