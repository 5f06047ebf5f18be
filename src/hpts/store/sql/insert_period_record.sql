-- store/periods.py: a closing or reopening.
INSERT INTO period_records (
    tenant_id, record_number, kind, closed_through, reason, actor, recorded_at, block_number
)
VALUES (
    %(tenant_id)s, %(record_number)s, %(kind)s, %(closed_through)s, %(reason)s, %(actor)s,
    timestamptz '2000-01-01 00:00:00+00' + %(recorded_at)s * interval '1 microsecond', %(block_number)s
)
