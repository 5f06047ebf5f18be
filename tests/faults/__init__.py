"""Faults lose nothing: what can fail is made to fail under load, and the books are judged."""
