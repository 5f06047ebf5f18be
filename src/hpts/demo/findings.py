"""What the run compared and what disagreed, each disagreement in words a person can act on.

Comparing never stops the run: one report at the end names everything at once.
"""

from collections import Counter


class Findings:
    """Counts every comparison by kind; keeps the disagreements."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.disagreements: list[str] = []

    def compare(self, kind: str, what: str, *, ledger: object, oracle: object) -> None:
        """Note that the ledger said `ledger` about `what`, where the oracle says `oracle`."""
        self.compared[kind] += 1
        if ledger != oracle:
            self.disagree(f"{what}: the ledger says {ledger}, the oracle says {oracle}")

    def disagree(self, text: str) -> None:
        self.disagreements.append(text)
