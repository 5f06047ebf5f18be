-- store/verify_totals.py: what all loans together owe, by the account that holds it. Takes no lock.
SELECT account.account_code, loan.currency,
    sum(CASE account.role
        WHEN 'principal_receivable' THEN loan.principal_minor
        WHEN 'interest_receivable' THEN loan.interest_minor
        ELSE loan.fees_minor
    END)
FROM loans AS loan
CROSS JOIN accounts AS account
WHERE loan.tenant_id = %(tenant_id)s AND account.tenant_id = %(tenant_id)s
    AND account.role IN ('principal_receivable', 'interest_receivable', 'fees_receivable')
GROUP BY account.account_code, loan.currency
ORDER BY account.account_code, loan.currency
