-- store/issuer_keys.py: makes whoever records changes of an issuer's keys wait for another that does. Takes
-- an advisory lock until the end of the transaction.
SELECT pg_advisory_xact_lock(%(lock_class)s, hashtext(%(issuer)s))
