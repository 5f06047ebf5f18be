-- store/feed.py, the relay: what of the endpoint $2 is not delivered yet, in the order of the chain, after
-- the place $3, $4, at most $5, with its entry and loans. Takes no lock.
SELECT delivery.journal_entry_id, delivery.block_number, delivery.place, entry.event_type,
    ((extract(epoch FROM entry.posted_at) - 946684800) * 1000000)::bigint, entry.correlation_id,
    touched.loan_ids, delivery.attempt_count,
    extract(epoch FROM delivery.first_attempt_at)::double precision,
    extract(epoch FROM delivery.next_attempt_at)::double precision
FROM webhook_deliveries AS delivery
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
WHERE delivery.tenant_id = $1::uuid AND delivery.endpoint_id = $2::uuid
    AND (delivery.block_number, delivery.place) > ($3::bigint, $4::integer)
    AND delivery.status IN ('retrying', 'held')
ORDER BY delivery.block_number, delivery.place
LIMIT $5::integer
