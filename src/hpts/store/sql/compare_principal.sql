-- store/reconcile.py: per currency, principal receivable by the lines against the sum of the loans.
SELECT currency, coalesce(by_line.minor, 0), coalesce(by_loan.minor, 0)
FROM (
    SELECT line.currency, sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END) AS minor
    FROM journal_lines AS line
    JOIN accounts USING (tenant_id, account_code)
    WHERE tenant_id = %(tenant_id)s AND layer = 'S' AND accounts.role = 'principal_receivable'
    GROUP BY line.currency
) AS by_line
FULL JOIN (
    SELECT currency, sum(principal_minor) AS minor
    FROM loans WHERE tenant_id = %(tenant_id)s GROUP BY currency
) AS by_loan USING (currency)
ORDER BY currency
