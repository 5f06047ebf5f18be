-- store/vital_signs.py: of the rows that every batch changes, how many versions of each no longer count but
-- cannot be taken away. Every lookup passes them. As the statistics have it; takes no lock.
SELECT relname::text, n_dead_tup::double precision / greatest(n_live_tup, 1) AS per_row
FROM pg_stat_user_tables
WHERE schemaname = 'public'
    AND relname IN ('ledger_heads', 'account_totals', 'account_month_totals', 'account_day_totals')
ORDER BY relname
