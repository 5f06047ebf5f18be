-- store/accounting_reads.py: the account $2, its sums in the currency $3 and layer $4 before the day $5
-- (nothing where it is NULL), and the newest entry up to $6. One statement, so one moment. Takes no lock.
SELECT account.account_code, account.name, account.account_type, account.normal_balance, account.role,
    (
        SELECT coalesce(sum(total.debit_minor), 0) - coalesce(sum(total.credit_minor), 0)
        FROM (
            SELECT debit_minor, credit_minor
            FROM account_month_totals
            WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
                AND layer = $4::"char" AND month < date_trunc('month', $5::date::timestamp)::date
            UNION ALL
            SELECT debit_minor, credit_minor
            FROM account_day_totals
            WHERE tenant_id = $1::uuid AND account_code = $2::smallint AND currency = $3::text
                AND layer = $4::"char" AND effective_at < $5::date
                AND effective_at >= date_trunc('month', $5::date::timestamp)::date
        ) AS total
    ) AS debits_less_credits_minor,
    (
        SELECT journal_entry_id
        FROM journal_entries
        WHERE tenant_id = $1::uuid AND journal_entry_id <= $6::uuid
        ORDER BY journal_entry_id DESC
        LIMIT 1
    ) AS newest_entry_id
FROM accounts AS account
WHERE account.tenant_id = $1::uuid AND account.account_code = $2::smallint
