-- store/reconcile_loans.py: adds the lines of the blocks after one, through another, to what the loans owe
-- by their lines; the loans it touched. Under the tenant's reconciliation lock.
INSERT INTO reconciliation_loans AS kept
    (tenant_id, loan_id, currency, principal_minor, interest_minor, fees_minor)
SELECT %(tenant_id)s, line.loan_id, min(line.currency),
    coalesce(sum(line.minor) FILTER (WHERE component.role = 'principal_receivable'), 0),
    coalesce(sum(line.minor) FILTER (WHERE component.role = 'interest_receivable'), 0),
    coalesce(sum(line.minor) FILTER (WHERE component.role = 'fees_receivable'), 0)
FROM ledger_blocks AS block
CROSS JOIN LATERAL (
    SELECT journal_entry_id
    FROM journal_entries
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= block.first_entry_id
    ORDER BY journal_entry_id
    LIMIT block.entry_count
) AS entry
CROSS JOIN LATERAL (
    SELECT account_code, currency, loan_id,
        CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END AS minor
    FROM journal_lines
    WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
        AND layer = 'S' AND loan_id IS NOT NULL
    OFFSET 0
) AS line
JOIN accounts AS component ON component.tenant_id = %(tenant_id)s
    AND component.account_code = line.account_code
    AND component.role IN ('principal_receivable', 'interest_receivable', 'fees_receivable')
WHERE block.tenant_id = %(tenant_id)s AND block.block_number > %(after_block)s
    AND block.block_number <= %(through_block)s
GROUP BY line.loan_id
ON CONFLICT ON CONSTRAINT reconciled_loan_stands_once DO UPDATE
SET principal_minor = kept.principal_minor + excluded.principal_minor,
    interest_minor = kept.interest_minor + excluded.interest_minor,
    fees_minor = kept.fees_minor + excluded.fees_minor
RETURNING kept.loan_id
