-- store/bank_status.py: where an account's statements begin and, as of a day, end: the first one's first day
-- and opening balance, the last one's closing balance, what all lines moved that count. Of several that end
-- on the same day it is the one whose balance goes on from the first. Takes no lock.
WITH first AS (
    SELECT from_date, opening_minor
    FROM bank_statements
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s
    ORDER BY from_date, statement_number
    LIMIT 1
), moved AS (
    SELECT sum(counted_minor) AS counted_minor
    FROM bank_statements
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s AND to_date <= %(day)s
)
SELECT first.from_date, first.opening_minor, last.closing_minor, moved.counted_minor, last.to_date
FROM first
CROSS JOIN moved
CROSS JOIN LATERAL (
    SELECT closing_minor, to_date
    FROM bank_statements
    WHERE tenant_id = %(tenant_id)s AND bank_account_ref = %(bank_account_ref)s AND to_date <= %(day)s
    ORDER BY to_date DESC, closing_minor = first.opening_minor + moved.counted_minor DESC,
        statement_number DESC
    LIMIT 1
) AS last
