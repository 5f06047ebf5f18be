-- store/webhooks.py: tries what is parked or waits for its next attempt again, now: one entry or, where
-- that is NULL, all; parked ones get their three days again. Locks the endpoint and the deliveries.
WITH heard AS (
    UPDATE webhook_endpoints SET revision = revision + 1
    WHERE tenant_id = %(tenant_id)s AND endpoint_id = %(endpoint_id)s AND deleted_at IS NULL
    RETURNING tenant_id, endpoint_id
), driven AS (
    UPDATE webhook_deliveries AS delivery
    SET status = 'retrying', next_attempt_at = clock_timestamp(),
        first_attempt_at = CASE delivery.status WHEN 'parked' THEN clock_timestamp()
            ELSE delivery.first_attempt_at END
    FROM heard
    WHERE delivery.tenant_id = heard.tenant_id AND delivery.endpoint_id = heard.endpoint_id
        AND delivery.status IN ('parked', 'retrying')
        AND (%(journal_entry_id)s::uuid IS NULL
            OR delivery.journal_entry_id = %(journal_entry_id)s::uuid)
    RETURNING delivery.journal_entry_id
)
SELECT (SELECT count(*) FROM heard), (SELECT count(*) FROM driven)
