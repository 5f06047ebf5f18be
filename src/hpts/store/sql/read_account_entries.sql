-- store/accounting_reads.py: at most $9 entries of the first day from $5 to $6 on which the account $2 was
-- posted to in the currency $3 and layer $4, in posting order, up to the entry $8; on the day $5 itself
-- from the entry $7 on. No row where there is no such day; one without an entry where it has no more.
-- Two index scans: entries posted on their day, in the primary key, and those posted on another. An
-- identifier begins with the milliseconds of its posting. An entry of one loan has five lines at most, so
-- only those of many are counted. Takes no lock.
WITH day AS (
    SELECT found.effective_at,
        CASE WHEN found.effective_at = $5::date THEN $7::uuid
            ELSE '00000000-0000-0000-0000-000000000000'::uuid END AS from_entry_id,
        rpad(lpad(to_hex(found.began_ms), 12, '0'), 32, '0')::uuid AS begins_at,
        rpad(lpad(to_hex(found.began_ms + 86400000), 12, '0'), 32, '0')::uuid AS ends_at
    FROM (
        SELECT min(effective_at) AS effective_at,
            (extract(epoch FROM min(effective_at)::timestamp) * 1000)::bigint AS began_ms
        FROM account_day_totals
        WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
            AND layer = $4::"char" AND effective_at >= $5::date AND effective_at <= $6::date
    ) AS found
    WHERE found.effective_at IS NOT NULL
)
SELECT entry.journal_entry_id, entry.event_type, day.effective_at,
    ((extract(epoch FROM entry.posted_at) - 946684800) * 1000000)::bigint,
    entry.correlation_id, entry.reverses_entry_id, entry.actor, entry.details,
    CASE WHEN entry.loan_id IS NULL THEN (
        SELECT max(sequence) FROM journal_lines AS line
        WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = entry.journal_entry_id
    ) ELSE 5 END AS line_count
FROM day
LEFT JOIN LATERAL (
    (
        SELECT journal_entry_id, event_type, posted_at, correlation_id, reverses_entry_id, actor, details,
            loan_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id >= greatest(day.begins_at, day.from_entry_id)
            AND journal_entry_id < day.ends_at AND journal_entry_id <= $8::uuid
            AND effective_at = day.effective_at
        ORDER BY journal_entry_id
        LIMIT $9::integer
    )
    UNION ALL
    (
        SELECT journal_entry_id, event_type, posted_at, correlation_id, reverses_entry_id, actor, details,
            loan_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND effective_at = day.effective_at
            AND (posted_at AT TIME ZONE 'UTC')::date <> effective_at
            AND journal_entry_id >= day.from_entry_id AND journal_entry_id <= $8::uuid
        ORDER BY journal_entry_id
        LIMIT $9::integer
    )
    ORDER BY journal_entry_id
    LIMIT $9::integer
) AS entry ON true
ORDER BY entry.journal_entry_id
