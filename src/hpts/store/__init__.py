"""The only place for psycopg, SQL, transactions and batching."""
