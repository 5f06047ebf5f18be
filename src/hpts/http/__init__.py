"""RSGI, ASGI, tokens, JSON and problem+json: what a client sees, and nothing of the database."""
