-- store/feed.py, the relay: what of the endpoint $2 is not delivered yet, in the order of the chain, after
-- the place $3, $4, at most $5, with its entry and loans. Takes no lock. A probe a status, as in
-- read_webhook_deliveries; only of those that are wanted are the entry and the loans looked for.
SELECT delivery.journal_entry_id, delivery.block_number, delivery.place, entry.event_type,
    ((extract(epoch FROM entry.posted_at) - 946684800) * 1000000)::bigint, entry.correlation_id,
    touched.loan_ids, delivery.attempt_count,
    extract(epoch FROM delivery.first_attempt_at)::double precision,
    extract(epoch FROM delivery.next_attempt_at)::double precision
FROM (
    SELECT open.journal_entry_id, open.block_number, open.place, open.attempt_count,
        open.first_attempt_at, open.next_attempt_at
    FROM unnest(ARRAY['retrying', 'held']) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT journal_entry_id, block_number, place, attempt_count, first_attempt_at, next_attempt_at
        FROM webhook_deliveries
        WHERE tenant_id = $1::uuid AND endpoint_id = $2::uuid
            AND webhook_deliveries.status = wanted.status
            AND (block_number, place) > ($3::bigint, $4::integer)
        ORDER BY block_number, place
        LIMIT $5::integer
    ) AS open
    ORDER BY open.block_number, open.place
    LIMIT $5::integer
) AS delivery
CROSS JOIN LATERAL (
    SELECT event_type, posted_at, correlation_id
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entry_id = delivery.journal_entry_id
    OFFSET 0
) AS entry
CROSS JOIN LATERAL (
    SELECT array_to_string(array_agg(DISTINCT loan_id), ',') AS loan_ids
    FROM journal_lines
    WHERE tenant_id = $1::uuid AND journal_entry_id = delivery.journal_entry_id
        AND loan_id IS NOT NULL
) AS touched
ORDER BY delivery.block_number, delivery.place
