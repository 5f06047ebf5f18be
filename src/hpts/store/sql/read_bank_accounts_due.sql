-- store/reconcile_schedule.py: a row where a bank account has cash lines to take over or items to match.
-- Takes no lock.
SELECT
FROM bank_cursors AS taken
JOIN ledger_heads AS head ON head.tenant_id = %(tenant_id)s
WHERE taken.tenant_id = %(tenant_id)s
    AND (taken.matching_is_due OR taken.block_number < head.block_number)
LIMIT 1
