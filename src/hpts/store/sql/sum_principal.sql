-- store/reconcile_loans.py: per currency, principal receivable by the lines as far as they are added up.
SELECT sums.currency, sums.debit_minor - sums.credit_minor
FROM reconciliation_sums AS sums
JOIN accounts USING (tenant_id, account_code)
WHERE tenant_id = %(tenant_id)s AND sums.kept = 'E' AND sums.layer = 'S'
    AND accounts.role = 'principal_receivable'
ORDER BY sums.currency
