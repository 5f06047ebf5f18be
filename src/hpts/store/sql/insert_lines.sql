-- store/append.py, second pipeline: the lines of all entries of a batch, a parameter a column.
INSERT INTO journal_lines (
    tenant_id, journal_entry_id, sequence, account_code, direction, layer, currency, amount_minor,
    loan_id
)
SELECT $1::uuid, line.journal_entry_id, line.sequence, line.account_code, line.direction,
    line.layer, line.currency, line.amount_minor, line.loan_id
FROM unnest(
    $2::uuid[], $3::smallint[], $4::smallint[], $5::"char"[], $6::"char"[], $7::text[],
    $8::bigint[], $9::uuid[]
) AS line (
    journal_entry_id, sequence, account_code, direction, layer, currency, amount_minor, loan_id
)
