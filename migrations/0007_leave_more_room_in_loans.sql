-- Half of a page of loans stays free, so that from the first payment on every update is HOT: with 30 %
-- free four in ten of the first updates were not, and cost index entries. Pages written before keep
-- theirs until a VACUUM FULL; nothing needs one.
ALTER TABLE loans SET (fillfactor = 50);
