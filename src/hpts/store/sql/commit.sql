-- Last statement of every batch.
COMMIT
