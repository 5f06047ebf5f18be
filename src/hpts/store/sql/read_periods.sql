-- store/periods.py: the database's clock in microseconds since 2000-01-01 UTC, through which day the
-- books are closed, and the number of the latest record, NULL for none. Follows lock_head, for a
-- statement does not see what was committed while it waited.
SELECT ((extract(epoch FROM clock_timestamp()) - 946684800) * 1000000)::bigint AS now, closed_through,
    (SELECT max(record_number) FROM period_records WHERE period_records.tenant_id = %(tenant_id)s)
FROM ledger_heads
WHERE tenant_id = %(tenant_id)s
