-- The entries that are effective on another day than they were posted on, by day. Those posted on their
-- day lie together in the primary key, for an identifier begins with the time of posting. So a day's
-- entries are found without an index that every payment would have to be entered in.
CREATE INDEX entries_of_another_day
    ON journal_entries (tenant_id, effective_at, journal_entry_id)
    WHERE (posted_at AT TIME ZONE 'UTC')::date <> effective_at;
