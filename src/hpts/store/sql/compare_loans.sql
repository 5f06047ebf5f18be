-- store/verify_totals.py: every loan beside what its lines add up to, by a cursor. A loan without
-- lines and lines without a loan stand alone. Takes no lock; reads the whole journal. Entries of one
-- loan, nearly all, are read by themselves: a join with their lines would cost more than all else.
WITH component AS (
    SELECT account_code, role
    FROM accounts
    WHERE tenant_id = %(tenant_id)s
        AND role IN ('principal_receivable', 'interest_receivable', 'fees_receivable')
), entry AS NOT MATERIALIZED (
    SELECT posted.journal_entry_id, posted.loan_id, posted.posted_at,
        -- the accrual's own day, also where its entry was moved out of a closed period
        CASE posted.event_type WHEN 'accrual' THEN coalesce(moved.accrual_date, posted.effective_at) END
            AS accrued_on
    FROM journal_entries AS posted
    LEFT JOIN moved_accruals AS moved ON moved.tenant_id = %(tenant_id)s
        AND moved.journal_entry_id = posted.journal_entry_id
    WHERE posted.tenant_id = %(tenant_id)s
), of_one AS (
    SELECT loan_id, max(accrued_on) AS accrued_through, max(posted_at) AS last_activity_at
    FROM entry
    WHERE loan_id IS NOT NULL
    GROUP BY loan_id
), by_line AS (
    SELECT line.loan_id,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'principal_receivable'), 0) AS principal,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'interest_receivable'), 0) AS interest,
        coalesce(sum(signed.minor) FILTER (WHERE component.role = 'fees_receivable'), 0) AS fees,
        min(line.currency) FILTER (WHERE component.role IS NOT NULL) AS first_currency,
        max(line.currency) FILTER (WHERE component.role IS NOT NULL) AS last_currency,
        max(of_many.accrued_on) AS accrued_through,
        max(of_many.posted_at) AS last_activity_at
    FROM journal_lines AS line
    LEFT JOIN entry AS of_many ON of_many.loan_id IS NULL
        AND of_many.journal_entry_id = line.journal_entry_id
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
    by_loan.fees_minor, by_line.fees,
    by_loan.accrued_through, greatest(by_line.accrued_through, of_one.accrued_through),
    by_loan.last_activity_at,
    CASE WHEN by_line.loan_id IS NOT NULL
        THEN greatest(by_line.last_activity_at, of_one.last_activity_at)
    END
FROM by_line
FULL JOIN by_loan USING (loan_id)
LEFT JOIN of_one USING (loan_id)
ORDER BY loan_id
