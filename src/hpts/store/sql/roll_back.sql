-- Ends a batch in which something failed or nothing is to be written.
ROLLBACK
