"""`hpts relay`: reads the chain of every tenant that has webhook endpoints, and delivers."""
