-- store/reads.py: at most $3 closings and reopenings before the number $2, newest first. Takes no lock.
SELECT record_number, kind, closed_through, reason, actor,
    ((extract(epoch FROM recorded_at) - 946684800) * 1000000)::bigint, block_number
FROM period_records
WHERE tenant_id = $1::uuid AND record_number < $2::integer
ORDER BY record_number DESC
LIMIT $3::integer
