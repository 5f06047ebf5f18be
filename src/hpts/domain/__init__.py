"""Lending and accounting rules: no await, SQL, clock, randomness or float."""
