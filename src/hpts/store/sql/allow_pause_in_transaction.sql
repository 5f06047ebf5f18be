-- store/bank_session.py: matching thinks for longer between two statements than a posting ever does. To
-- the end of the transaction. Locks nothing.
SELECT set_config('idle_in_transaction_session_timeout', %(pause)s::text, true)
