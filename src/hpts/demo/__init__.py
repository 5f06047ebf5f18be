"""The demo: a year of a loan portfolio through the public API, checked against its own oracle."""
