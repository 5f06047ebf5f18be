-- store/known_reads.py: at most $8 entries that touch the account $2 in the currency $3 and layer $4,
-- effective by the day $5, from the identifier $6 and before $7, in posting order, each with what it
-- debits and credits there. The first column is where the search ended, NULL where nothing follows; there
-- is always a row, one without an entry where none was found. Takes no lock.
-- The next $10 entries are looked through. Where hardly any of them is effective so early, and no entry
-- effective on the day of its posting follows (those end with the day, $9), the others are found by the
-- account's days, so many of each: they may be few among millions, or millions, of which no page reads all.
WITH near AS MATERIALIZED (
    SELECT journal_entry_id, effective_at
    FROM journal_entries
    WHERE tenant_id = $1::uuid AND journal_entry_id >= $6::uuid AND journal_entry_id < $7::uuid
    ORDER BY journal_entry_id
    LIMIT $10::integer
),
near_end AS MATERIALIZED (
    SELECT (
        SELECT journal_entry_id FROM near ORDER BY journal_entry_id OFFSET $10::integer - 1 LIMIT 1
    ) AS entry_id
),
far AS MATERIALIZED (
    SELECT coalesce(
        entry_id >= $9::uuid AND (SELECT count(*) FROM near WHERE effective_at <= $5::date) < $8::integer,
        false
    ) AS is_wanted
    FROM near_end
),
late AS MATERIALIZED (
    SELECT day.effective_at, entry.journal_entry_id
    FROM (
        SELECT DISTINCT effective_at
        FROM account_day_totals
        WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
            AND layer = $4::"char" AND effective_at <= $5::date AND (SELECT is_wanted FROM far)
    ) AS day
    CROSS JOIN LATERAL (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entries.effective_at = day.effective_at
            AND (posted_at AT TIME ZONE 'UTC')::date <> journal_entries.effective_at
            AND journal_entry_id > (SELECT entry_id FROM near_end) AND journal_entry_id < $7::uuid
        ORDER BY journal_entry_id
        LIMIT $8::integer
    ) AS entry
),
late_end AS MATERIALIZED (
    SELECT (
        SELECT last_of_day.entry_id
        FROM (
            SELECT (array_agg(journal_entry_id ORDER BY journal_entry_id DESC))[1] AS entry_id
            FROM late
            GROUP BY effective_at
            HAVING count(*) = $8::integer
        ) AS last_of_day
        ORDER BY last_of_day.entry_id
        LIMIT 1
    ) AS entry_id
),
searched AS MATERIALIZED (
    SELECT found.journal_entry_id
    FROM (
        SELECT journal_entry_id FROM near WHERE effective_at <= $5::date
        UNION ALL
        SELECT journal_entry_id FROM late
        WHERE (journal_entry_id <= (SELECT entry_id FROM late_end)) IS NOT FALSE
    ) AS found
    ORDER BY found.journal_entry_id
    LIMIT $10::integer
)
SELECT reached.entry_id, restated.journal_entry_id, restated.event_type, restated.effective_at,
    ((extract(epoch FROM restated.posted_at) - 946684800) * 1000000)::bigint,
    restated.debit_minor, restated.credit_minor
FROM (
    SELECT coalesce(
        (SELECT journal_entry_id FROM searched ORDER BY journal_entry_id OFFSET $10::integer - 1 LIMIT 1),
        CASE
            WHEN (SELECT is_wanted FROM far) THEN (SELECT entry_id FROM late_end)
            ELSE (SELECT entry_id FROM near_end)
        END
    ) AS entry_id
) AS reached
LEFT JOIN LATERAL (
    SELECT entry.journal_entry_id, entry.event_type, entry.effective_at, entry.posted_at,
        touched.debit_minor, touched.credit_minor
    FROM (SELECT journal_entry_id FROM searched ORDER BY journal_entry_id OFFSET 0) AS candidate
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debit_minor,
            coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credit_minor
        FROM journal_lines AS line
        WHERE line.tenant_id = $1::uuid AND line.journal_entry_id = candidate.journal_entry_id
            AND account_code = $2::smallint AND currency = $3::text AND layer = $4::"char"
        HAVING count(*) > 0
    ) AS touched
    CROSS JOIN LATERAL (
        SELECT journal_entry_id, event_type, effective_at, posted_at
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id = candidate.journal_entry_id
        OFFSET 0
    ) AS entry
    ORDER BY candidate.journal_entry_id
    LIMIT $8::integer
) AS restated ON true
ORDER BY restated.journal_entry_id
