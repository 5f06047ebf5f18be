-- store/reconcile_lines.py: what all lines add up to by day of effect. A line without an entry has no day.
-- One snapshot; reads the whole journal.
SELECT line.account_code, line.currency, line.layer,
    coalesce(entry.effective_at, '0001-01-01') AS effective_at,
    coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'D'), 0) AS debit,
    coalesce(sum(line.amount_minor) FILTER (WHERE line.direction = 'C'), 0) AS credit
FROM journal_lines AS line
LEFT JOIN journal_entries AS entry
    ON entry.tenant_id = %(tenant_id)s AND entry.journal_entry_id = line.journal_entry_id
WHERE line.tenant_id = %(tenant_id)s
GROUP BY line.account_code, line.currency, line.layer, entry.effective_at
