-- store/reconcile.py: per currency and as of a past day, principal receivable by the day totals
-- against the sum of the loans, which are recomputed from the lines that name a loan.
SELECT currency, coalesce(by_total.minor, 0), coalesce(by_loan.minor, 0)
FROM (
    SELECT total.currency, sum(debit_minor) - sum(credit_minor) AS minor
    FROM account_day_totals AS total
    JOIN accounts USING (tenant_id, account_code)
    WHERE tenant_id = %(tenant_id)s AND layer = 'S' AND accounts.role = 'principal_receivable'
        AND effective_at <= %(as_of_date)s
    GROUP BY total.currency
) AS by_total
FULL JOIN (
    SELECT line.currency, sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END) AS minor
    FROM journal_lines AS line
    JOIN journal_entries AS entry USING (tenant_id, journal_entry_id)
    JOIN accounts USING (tenant_id, account_code)
    WHERE tenant_id = %(tenant_id)s AND layer = 'S' AND accounts.role = 'principal_receivable'
        AND line.loan_id IS NOT NULL AND entry.effective_at <= %(as_of_date)s
    GROUP BY line.currency
) AS by_loan USING (currency)
ORDER BY currency
