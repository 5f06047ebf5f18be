-- store/append.py, second pipeline of an entry of many loans: which of its lines belongs to which loan.
INSERT INTO entry_loans (tenant_id, loan_id, journal_entry_id, sequence, outstanding_principal_minor)
SELECT $1::uuid, line.loan_id, line.journal_entry_id, line.sequence, line.outstanding_principal_minor
FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::bigint[])
    AS line (loan_id, journal_entry_id, sequence, outstanding_principal_minor)
