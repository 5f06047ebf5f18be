-- store/known_reads.py: as sum_trial_balance_as_of (layer $2, currency $3 and account $9 or all, effective
-- by the day $4), of the entries before the identifier $5 alone. By posting: whole months before the month
-- $7, whole days from it to the day $8, whole slices of that day (which begins with the identifier $6),
-- and line by line the last slice; line by line as well what is not folded yet. Takes no lock. OFFSET 0
-- keeps PostgreSQL from looking for what is not folded in the order of all entries.
WITH used AS (
    SELECT DISTINCT account_code, currency
    FROM account_totals
    WHERE tenant_id = $1::uuid AND layer = $2::"char" AND ($3::text IS NULL OR currency = $3::text)
        AND ($9::smallint IS NULL OR account_code = $9::smallint)
),
folded AS MATERIALIZED (
    SELECT coalesce((
        SELECT block_number FROM known_progress WHERE tenant_id = $1::uuid
    ), 0) AS block_number
),
cut AS MATERIALIZED (
    SELECT greatest($6::uuid, (
        SELECT from_entry_id FROM known_slices
        WHERE tenant_id = $1::uuid AND from_entry_id < $5::uuid
        ORDER BY from_entry_id DESC
        LIMIT 1
    )) AS from_entry_id
),
counted AS (
    SELECT account_code, currency, 0 AS debit_minor, 0 AS credit_minor FROM used
    UNION ALL
    SELECT used.account_code, used.currency, cell.debit_minor, cell.credit_minor
    FROM used
    CROSS JOIN LATERAL (
        SELECT debit_minor, credit_minor
        FROM known_month_totals AS total
        WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
            AND total.currency = used.currency AND total.layer = $2::"char" AND total.kept = 'M'
            AND total.period < date_trunc('month', $4::date::timestamp)::date
            AND total.posted_month < $7::date
        UNION ALL
        SELECT debit_minor, credit_minor
        FROM known_month_totals AS total
        WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
            AND total.currency = used.currency AND total.layer = $2::"char" AND total.kept = 'D'
            AND total.period >= date_trunc('month', $4::date::timestamp)::date
            AND total.period <= $4::date AND total.posted_month < $7::date
        UNION ALL
        SELECT debit_minor, credit_minor
        FROM known_day_totals AS total
        WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
            AND total.currency = used.currency AND total.layer = $2::"char"
            AND total.posted_day >= $7::date AND total.posted_day < $8::date
            AND total.effective_at <= $4::date
        UNION ALL
        SELECT debit_minor, credit_minor
        FROM known_slice_totals AS total
        WHERE total.tenant_id = $1::uuid AND total.account_code = used.account_code
            AND total.currency = used.currency AND total.layer = $2::"char"
            AND total.from_entry_id >= $6::uuid
            AND total.from_entry_id < (SELECT from_entry_id FROM cut)
            AND total.effective_at <= $4::date
    ) AS cell
    UNION ALL
    SELECT line.account_code, line.currency,
        CASE line.direction WHEN 'D' THEN line.amount_minor ELSE 0 END,
        CASE line.direction WHEN 'C' THEN line.amount_minor ELSE 0 END
    FROM (
        SELECT first_entry_id, entry_count
        FROM ledger_blocks
        WHERE tenant_id = $1::uuid AND first_entry_id >= (SELECT from_entry_id FROM cut)
            AND first_entry_id < $5::uuid
        UNION ALL
        SELECT first_entry_id, entry_count
        FROM (
            SELECT first_entry_id, entry_count
            FROM ledger_blocks
            WHERE tenant_id = $1::uuid AND block_number > (SELECT block_number FROM folded)
            OFFSET 0
        ) AS unfolded
        WHERE first_entry_id < least($5::uuid, (SELECT from_entry_id FROM cut))
    ) AS block
    CROSS JOIN LATERAL (
        SELECT journal_entry_id, effective_at
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id >= block.first_entry_id
        ORDER BY journal_entry_id
        LIMIT block.entry_count
    ) AS entry
    CROSS JOIN LATERAL (
        SELECT account_code, currency, direction, amount_minor
        FROM journal_lines
        WHERE tenant_id = $1::uuid AND journal_entry_id = entry.journal_entry_id
            AND layer = $2::"char" AND ($3::text IS NULL OR currency = $3::text)
            AND ($9::smallint IS NULL OR account_code = $9::smallint)
        OFFSET 0
    ) AS line
    WHERE entry.effective_at <= $4::date
)
SELECT account_code, currency, sum(debit_minor), sum(credit_minor)
FROM counted
GROUP BY account_code, currency
ORDER BY currency, account_code
