-- store/reconcile.py: as find_drift, for what is effective by a past day, held against the day totals.
-- Reads the whole journal.
WITH by_line AS (
    SELECT line.account_code, line.currency, line.layer,
        coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debit,
        coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credit
    FROM journal_lines AS line
    JOIN journal_entries AS entry USING (tenant_id, journal_entry_id)
    WHERE tenant_id = %(tenant_id)s AND entry.effective_at <= %(as_of_date)s
    GROUP BY line.account_code, line.currency, line.layer
), by_total AS (
    SELECT account_code, currency, layer, sum(debit_minor) AS debit, sum(credit_minor) AS credit
    FROM account_day_totals
    WHERE tenant_id = %(tenant_id)s AND effective_at <= %(as_of_date)s
    GROUP BY account_code, currency, layer
)
SELECT account_code, currency, layer, 'D' AS kept, %(as_of_date)s::date AS period,
    coalesce(by_line.debit, 0), coalesce(by_total.debit, 0),
    coalesce(by_line.credit, 0), coalesce(by_total.credit, 0)
FROM by_line FULL JOIN by_total USING (account_code, currency, layer)
WHERE coalesce(by_line.debit, 0) <> coalesce(by_total.debit, 0)
    OR coalesce(by_line.credit, 0) <> coalesce(by_total.credit, 0)
ORDER BY account_code, currency, layer
