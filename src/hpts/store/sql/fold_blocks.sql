-- store/known_fold.py: adds the lines of blocks to the totals by posting. Each block ($blocks) comes with
-- its slice and its day of posting; the answer is how many lines they had. Under the lock of the tenant's
-- progress, so each block once.
WITH folded AS MATERIALIZED (
    SELECT line.account_code, line.currency, line.layer, named.from_entry_id, named.posted_day,
        entry.effective_at,
        coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'D'), 0)::bigint AS debit_minor,
        coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'C'), 0)::bigint AS credit_minor,
        count(*) AS line_count
    FROM unnest(
        %(first_entry_ids)s::uuid[], %(entry_counts)s::integer[], %(slices)s::uuid[], %(days)s::date[]
    ) AS named (first_entry_id, entry_count, from_entry_id, posted_day)
    CROSS JOIN LATERAL (
        SELECT journal_entry_id, effective_at
        FROM journal_entries
        WHERE tenant_id = %(tenant_id)s AND journal_entry_id >= named.first_entry_id
        ORDER BY journal_entry_id
        LIMIT named.entry_count
    ) AS entry
    CROSS JOIN LATERAL (
        SELECT account_code, currency, layer, direction, amount_minor
        FROM journal_lines
        WHERE tenant_id = %(tenant_id)s AND journal_entry_id = entry.journal_entry_id
        OFFSET 0
    ) AS line
    GROUP BY 1, 2, 3, 4, 5, 6
),
by_month AS (
    INSERT INTO known_month_totals AS total (
        tenant_id, account_code, currency, layer, kept, period, posted_month, debit_minor, credit_minor
    )
    SELECT %(tenant_id)s, account_code, currency, layer, kind.kept, kind.period,
        date_trunc('month', posted_day::timestamp)::date, sum(debit_minor)::bigint, sum(credit_minor)::bigint
    FROM folded
    CROSS JOIN LATERAL (
        VALUES ('M'::"char", date_trunc('month', effective_at::timestamp)::date), ('D'::"char", effective_at)
    ) AS kind (kept, period)
    GROUP BY 2, 3, 4, 5, 6, 7
    ON CONFLICT ON CONSTRAINT known_month_total_stands_once DO UPDATE
    SET debit_minor = total.debit_minor + excluded.debit_minor,
        credit_minor = total.credit_minor + excluded.credit_minor
),
by_day AS (
    INSERT INTO known_day_totals AS total (
        tenant_id, account_code, currency, layer, posted_day, effective_at, debit_minor, credit_minor
    )
    SELECT %(tenant_id)s, account_code, currency, layer, posted_day, effective_at,
        sum(debit_minor)::bigint, sum(credit_minor)::bigint
    FROM folded
    GROUP BY 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT known_day_total_stands_once DO UPDATE
    SET debit_minor = total.debit_minor + excluded.debit_minor,
        credit_minor = total.credit_minor + excluded.credit_minor
),
by_slice AS (
    INSERT INTO known_slice_totals AS total (
        tenant_id, account_code, currency, layer, from_entry_id, effective_at, debit_minor, credit_minor
    )
    SELECT %(tenant_id)s, account_code, currency, layer, from_entry_id, effective_at, debit_minor,
        credit_minor
    FROM folded
    ON CONFLICT ON CONSTRAINT known_slice_total_stands_once DO UPDATE
    SET debit_minor = total.debit_minor + excluded.debit_minor,
        credit_minor = total.credit_minor + excluded.credit_minor
)
SELECT coalesce(sum(line_count), 0)::bigint FROM folded
