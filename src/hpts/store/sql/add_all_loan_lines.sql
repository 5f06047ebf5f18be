-- store/reconcile_loans.py: what every loan owes by its lines. Reads the whole journal; under the tenant's
-- reconciliation lock.
INSERT INTO reconciliation_loans
    (tenant_id, loan_id, currency, principal_minor, interest_minor, fees_minor)
SELECT %(tenant_id)s, line.loan_id, min(line.currency),
    coalesce(sum(signed.minor) FILTER (WHERE component.role = 'principal_receivable'), 0),
    coalesce(sum(signed.minor) FILTER (WHERE component.role = 'interest_receivable'), 0),
    coalesce(sum(signed.minor) FILTER (WHERE component.role = 'fees_receivable'), 0)
FROM journal_lines AS line
JOIN accounts AS component ON component.tenant_id = %(tenant_id)s
    AND component.account_code = line.account_code
    AND component.role IN ('principal_receivable', 'interest_receivable', 'fees_receivable')
CROSS JOIN LATERAL (
    SELECT CASE line.direction WHEN 'D' THEN line.amount_minor ELSE -line.amount_minor END AS minor
) AS signed
WHERE line.tenant_id = %(tenant_id)s AND line.layer = 'S' AND line.loan_id IS NOT NULL
GROUP BY line.loan_id
