-- store/known_reads.py: at most $8 entries that touch the account $2 in the currency $3 and layer $4,
-- effective by the day $5, from the identifier $6 and before $7, in posting order, each with what it
-- debits and credits there. Entries effective on the day of their posting can only stand before the day's
-- end ($9); the others are found by day. Takes no lock.
WITH candidate AS (
    SELECT journal_entry_id, event_type, effective_at, posted_at
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND effective_at <= $5::date
        AND (posted_at AT TIME ZONE 'UTC')::date <> effective_at
        AND journal_entry_id >= $6::uuid AND journal_entry_id < $7::uuid
    UNION ALL
    SELECT journal_entry_id, event_type, effective_at, posted_at
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entry_id >= $6::uuid
        AND journal_entry_id < least($7::uuid, $9::uuid)
        AND (posted_at AT TIME ZONE 'UTC')::date = effective_at
)
SELECT candidate.journal_entry_id, event_type, effective_at,
    ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint,
    touched.debit_minor, touched.credit_minor
FROM candidate
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debit_minor,
        coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credit_minor
    FROM journal_lines AS line
    WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = candidate.journal_entry_id
        AND account_code = $2::smallint AND currency = $3::text AND layer = $4::"char"
    HAVING count(*) > 0
) AS touched
ORDER BY candidate.journal_entry_id
LIMIT $8::integer
