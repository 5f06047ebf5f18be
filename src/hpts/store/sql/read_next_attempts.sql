-- store/feed.py, the relay: when those of the entries $3 that are retried are due at the endpoint $2. Takes
-- no lock.
SELECT journal_entry_id, extract(epoch FROM next_attempt_at)::double precision
FROM webhook_deliveries
WHERE tenant_id = $1::uuid AND endpoint_id = $2::uuid AND journal_entry_id = ANY($3::uuid[])
    AND status = 'retrying'
