-- store/bank_imports.py: the latest day's statement of an account, and how many there are. Under its lock.
SELECT to_date, closing_minor,
    (
        SELECT max(statement_number)
        FROM bank_statements
        WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
    ) AS last_number
FROM bank_statements
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
ORDER BY to_date DESC, statement_number DESC
LIMIT 1
