"""HPTS: an append-only, double-entry, multi-tenant lending ledger behind a REST API."""

__version__ = "0.1.0"
