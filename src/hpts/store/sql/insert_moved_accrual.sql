-- store/append.py, second pipeline of an accrual whose entry ($2) was moved out of a closed period: the
-- day ($3) that it is the accrual of.
INSERT INTO moved_accruals (tenant_id, journal_entry_id, accrual_date)
VALUES ($1::uuid, $2::uuid, $3::date)
