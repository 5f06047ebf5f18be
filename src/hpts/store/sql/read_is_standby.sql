-- store/feed.py: whether this server may be behind another. Takes no lock.
SELECT pg_is_in_recovery()
