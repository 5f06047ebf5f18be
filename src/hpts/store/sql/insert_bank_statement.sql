-- store/bank_imports.py: a statement, before its lines. Under the account's lock.
INSERT INTO bank_statements (
    tenant_id, statement_id, bank_account_ref, statement_number, file_format, file_digest, content_digest,
    outline_digest, statement_ref, from_date, to_date, opening_minor, opening_is_stated, closing_minor,
    counted_minor, line_count, repeated_line_count, imported_by
)
VALUES (
    %(tenant_id)s, %(statement_id)s, %(bank_account_ref)s, %(statement_number)s, %(file_format)s,
    %(file_digest)s, %(content_digest)s, %(outline_digest)s, %(statement_ref)s, %(from_date)s, %(to_date)s,
    %(opening_minor)s, %(opening_is_stated)s, %(closing_minor)s, %(counted_minor)s, %(line_count)s,
    %(repeated_line_count)s, %(actor)s
)
