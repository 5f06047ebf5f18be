-- store/verify_totals.py: every loan beside what its lines add up to, by a cursor. A loan without
-- lines and lines without a loan stand alone. Takes no lock; reads the whole journal.
WITH component AS (
    SELECT account_code, role
    FROM accounts
    WHERE tenant_id = %(tenant_id)s
        AND role IN ('principal_receivable', 'interest_receivable', 'fees_receivable')
), by_line AS (
    SELECT line.loan_id,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'principal_receivable'), 0) AS principal,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'interest_receivable'), 0) AS interest,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'fees_receivable'), 0) AS fees,
        min(line.currency) FILTER (WHERE component.role IS NOT NULL) AS first_currency,
        max(line.currency) FILTER (WHERE component.role IS NOT NULL) AS last_currency,
        -- the accrual's own day, also where its entry was moved out of a closed period
        max(coalesce(moved.accrual_date, entry.effective_at)) FILTER (WHERE entry.event_type = 'accrual')
            AS accrued_through,
        max(entry.posted_at) AS last_activity_at
    FROM journal_lines AS line
    JOIN journal_entries AS entry ON entry.tenant_id = %(tenant_id)s
        AND entry.journal_entry_id = line.journal_entry_id
    LEFT JOIN moved_accruals AS moved ON moved.tenant_id = %(tenant_id)s
        AND moved.journal_entry_id = line.journal_entry_id
    LEFT JOIN component ON component.account_code = line.account_code AND line.layer = 'S'
    CROSS JOIN LATERAL (
        SELECT CASE line.direction WHEN 'D' THEN line.amount_minor ELSE -line.amount_minor END AS minor
    ) AS signed
    WHERE line.tenant_id = %(tenant_id)s AND line.loan_id IS NOT NULL
    GROUP BY line.loan_id
), by_loan AS (
    SELECT loan_id, currency, principal_minor, interest_minor, fees_minor, accrued_through,
        last_activity_at
    FROM loans
    WHERE tenant_id = %(tenant_id)s
)
SELECT loan_id, by_loan.currency, by_line.first_currency, by_line.last_currency,
    by_loan.principal_minor, by_line.principal, by_loan.interest_minor, by_line.interest,
    by_loan.fees_minor, by_line.fees, by_loan.accrued_through, by_line.accrued_through,
    by_loan.last_activity_at, by_line.last_activity_at
FROM by_line FULL JOIN by_loan USING (loan_id)
ORDER BY loan_id
