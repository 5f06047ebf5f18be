-- store/append.py, first pipeline of an accrual or a reversal: how long the transaction may wait for
-- a lock, in milliseconds ($1): as long as its client still does.
SELECT set_config('lock_timeout', $1::text, true)
