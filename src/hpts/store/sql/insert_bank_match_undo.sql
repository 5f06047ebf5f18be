-- store/bank_matches.py: that a match was wrong. Under the account's lock.
INSERT INTO bank_match_undos (tenant_id, match_id, reason, undone_by)
VALUES (%(tenant_id)s, %(match_id)s, %(reason)s, %(actor)s)
