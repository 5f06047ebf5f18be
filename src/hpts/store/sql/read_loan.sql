-- store/accounting_reads.py: the loan $2, its opening entry and what was disbursed and not reversed. The
-- first entry of a loan is the disbursement that opened it. Takes no lock.
SELECT loan.loan_id, loan.borrower_id, loan.currency,
    ((extract(epoch FROM opening.posted_at) - 946684800) * 1000000)::bigint, opening.effective_at,
    (
        SELECT coalesce(sum(line.amount_minor), 0)
        FROM journal_entries AS entry
        CROSS JOIN LATERAL (
            SELECT amount_minor
            FROM journal_lines
            WHERE tenant_id = $1::uuid AND journal_entry_id = entry.journal_entry_id
                AND loan_id = $2::uuid AND direction = 'D'
            OFFSET 0
        ) AS line
        WHERE entry.tenant_id = $1::uuid AND entry.loan_id = $2::uuid
            AND entry.event_type = 'disbursement'
            AND (
                SELECT reversal.journal_entry_id
                FROM journal_entries AS reversal
                WHERE reversal.tenant_id = $1::uuid
                    AND reversal.reverses_entry_id = entry.journal_entry_id
            ) IS NULL
    ) AS disbursed_minor,
    ((extract(epoch FROM loan.last_activity_at) - 946684800) * 1000000)::bigint
FROM loans AS loan
CROSS JOIN LATERAL (
    SELECT posted_at, effective_at
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND loan_id = $2::uuid
    ORDER BY journal_entry_id
    LIMIT 1
) AS opening
WHERE loan.tenant_id = $1::uuid AND loan.loan_id = $2::uuid
