-- store/accounting_reads.py: what the entries of the loan $2 changed, in effective and then posting order:
-- one row for all that stands before, then at most $7 entries after the entry $4 of the day $3 and up to
-- the day $5 (NULL: any). Entries after $6 do not count. Takes no lock; OFFSET 0 keeps the lines a probe
-- an entry. Components as owed, suspense as held; the settled layer, as the loan itself.
WITH touched AS (
    SELECT journal_entry_id
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND loan_id = $2::uuid AND journal_entry_id <= $6::uuid
    UNION ALL
    SELECT DISTINCT journal_entry_id
    FROM entry_loans
    WHERE tenant_id = $1::uuid AND loan_id = $2::uuid AND journal_entry_id <= $6::uuid
),
roles AS (
    SELECT max(account_code) FILTER (WHERE role = 'principal_receivable') AS principal,
        max(account_code) FILTER (WHERE role = 'interest_receivable') AS interest,
        max(account_code) FILTER (WHERE role = 'fees_receivable') AS fees,
        max(account_code) FILTER (WHERE role = 'suspense') AS suspense
    FROM accounts
    WHERE tenant_id = $1::uuid
),
changed AS (
    SELECT entry.journal_entry_id, entry.event_type, entry.effective_at, entry.posted_at,
        entry.reverses_entry_id, entry.details, line.principal_minor, line.interest_minor,
        line.fees_minor, line.suspense_minor,
        (entry.effective_at, entry.journal_entry_id) <= ($3::date, $4::uuid) AS is_before
    FROM touched
    CROSS JOIN roles
    CROSS JOIN LATERAL (
        SELECT journal_entry_id, event_type, effective_at, posted_at, reverses_entry_id, details
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id = touched.journal_entry_id
        OFFSET 0
    ) AS entry
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(minor) FILTER (WHERE account_code = roles.principal), 0) AS principal_minor,
            coalesce(sum(minor) FILTER (WHERE account_code = roles.interest), 0) AS interest_minor,
            coalesce(sum(minor) FILTER (WHERE account_code = roles.fees), 0) AS fees_minor,
            coalesce(-sum(minor) FILTER (WHERE account_code = roles.suspense), 0) AS suspense_minor
        FROM (
            SELECT account_code,
                CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END AS minor
            FROM journal_lines
            WHERE tenant_id = $1::uuid AND journal_entry_id = touched.journal_entry_id
                AND loan_id = $2::uuid AND layer = 'S'
            OFFSET 0
        ) AS of_loan
    ) AS line
    WHERE $5::date IS NULL OR entry.effective_at <= $5::date
)
(
    SELECT NULL AS journal_entry_id, NULL AS event_type, NULL AS effective_at, NULL AS posted_at,
        NULL AS reverses_entry_id, NULL AS details,
        coalesce(sum(principal_minor), 0), coalesce(sum(interest_minor), 0),
        coalesce(sum(fees_minor), 0), coalesce(sum(suspense_minor), 0)
    FROM changed
    WHERE is_before
)
UNION ALL
(
    SELECT journal_entry_id, event_type, effective_at,
        ((extract(epoch FROM posted_at) - 946684800) * 1000000)::bigint,
        reverses_entry_id, details::text, principal_minor, interest_minor, fees_minor, suspense_minor
    FROM changed
    WHERE NOT is_before
    ORDER BY effective_at, journal_entry_id
    LIMIT $7::integer
)
ORDER BY effective_at NULLS FIRST, journal_entry_id NULLS FIRST
