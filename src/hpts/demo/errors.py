"""The one error of the demo: something that makes going on pointless, with a message for a person.

A disagreement between oracle and ledger is not an error; it is collected and reported at the end.
"""


class DemoError(Exception):
    """The run stops here; the message says what happened and what to do about it."""
