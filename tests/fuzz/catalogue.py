"""The targets by name: where each is, and how many of a hundred inputs it gets (some cost more)."""

from typing import NamedTuple


class Entry(NamedTuple):
    """`module` has a function `target(context)`. `needs` says what stands in its context beside
    `folder`: an application with its database, or the kernel under sanitizers."""

    name: str
    module: str
    shares: int
    needs: str = ""


CATALOGUE = (
    Entry("bodies, decoder alone", "bodies", 20),
    Entry("bodies", "requests", 14, "application"),
    Entry("headers and keys", "requests", 10, "application"),
    Entry("queries and paths", "requests", 10, "application"),
    Entry("page tokens", "requests", 6, "application"),
    Entry("page tokens, alone", "page_tokens", 12),
    Entry("problems", "problems", 8),
    Entry("proofs", "proof_files", 8),
    Entry("bearer tokens", "tokens", 6),
    Entry("client certificates", "certificates", 4),
    Entry("kernel, sanitized", "kernel_calls", 2, "sanitized"),
)
if sum(entry.shares for entry in CATALOGUE) != 100:
    raise ValueError("the shares are of a hundred")


def inputs_of(entry: Entry, inputs: int) -> int:
    """How many of `inputs` are this target's."""
    return inputs * entry.shares // 100
