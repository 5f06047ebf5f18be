-- store/bank_imports.py: the statement as it was imported before: the same content, or what says the same
-- in another format. Under the account's lock.
SELECT statement_id, statement_number, line_count, repeated_line_count
FROM bank_statements
WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
    AND (
        content_digest = %(content_digest)s
        OR outline_digest = %(outline_digest)s AND file_format <> %(file_format)s
    )
ORDER BY statement_number
LIMIT 1
