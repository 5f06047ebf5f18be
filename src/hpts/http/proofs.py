"""Checkpoints and proofs, for an auditor who does not trust us (docs/PROOFS.md).

A checkpoint is signed anew whenever it is asked for: the tree over the first n blocks never changes
and neither does an Ed25519 signature over it.
"""

import base64
import re

import msgspec

from hpts.domain.identifiers import format_identifier
from hpts.http.checkpoint_key import CheckpointKey
from hpts.http.messages import Request, Response, money_response
from hpts.http.parameters import Parameters
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.proofs import BlockTree, EntryProof

BLOCK_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
BLOCK_NUMBER_FORM = "must be a whole number from 1"


class Checkpoint(msgspec.Struct, frozen=True):
    """The tree over a tenant's first `block_number` blocks. Hashes in lower-case hexadecimal."""

    tenant_id: str
    block_number: int
    root_hash: str
    note: str


class Block(msgspec.Struct, frozen=True):
    block_number: int
    previous_hash: str
    first_entry_id: str
    entry_count: int
    entries_root: str


class JournalEntryProof(msgspec.Struct, frozen=True):
    """From an entry to a checkpoint: its form, the path to its block's root, the block, the path
    to the checkpoint's root."""

    journal_entry_id: str
    canonical_entry: str
    entry_index: int
    entry_path: list[str]
    block: Block
    block_path: list[str]
    checkpoint: Checkpoint


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That the first `old_block_number` blocks of a checkpoint are those of an older one."""

    tenant_id: str
    old_block_number: int
    block_number: int
    path: list[str]


class ProofEndpoints:
    """The operations. Without a key there are no checkpoints, and that is said."""

    def __init__(self, ledger: Ledger, key: CheckpointKey | None) -> None:
        self._proofs = ledger.proofs
        self._key = key

    async def get_latest_checkpoint(self, request: Request) -> Response:
        """The checkpoint over all blocks that are committed."""
        key = self._key_of()
        Parameters(request).check()
        size = await self._proofs.last_block_number(request.client().tenant_id)
        if not size:
            raise ProblemRaised("not_found", "Nothing was posted yet, so there is no checkpoint.")
        return _answer(_checkpoint(key, request, await self._tree(request, size)))

    async def get_checkpoint(self, request: Request) -> Response:
        """The checkpoint over the first blocks of a number."""
        key = self._key_of()
        parameters = Parameters(request)
        size = _path_number(parameters)
        parameters.check()
        await self._check_there(request, size)
        return _answer(_checkpoint(key, request, await self._tree(request, size)))

    async def get_consistency_proof(self, request: Request) -> Response:
        """That a checkpoint grew out of an older one."""
        self._key_of()
        parameters = Parameters(request, ("from_block",))
        size = _path_number(parameters)
        old_size = _query_number(parameters, "from_block")
        if old_size is None:
            parameters.refuse("from_block", "required", "the number of the older checkpoint")
        parameters.check()
        await self._check_there(request, size)
        old_size = old_size or 1
        if old_size > size:
            raise ProblemRaised("not_found", "Give from_block the number of the older checkpoint.")
        tree = await self._tree(request, size, old_size)
        path = tree.consistency_path(old_size)
        return _answer(ConsistencyProof(request.client().tenant, old_size, size, _hex(path)))

    async def get_journal_entry_proof(self, request: Request) -> Response:
        """That an entry is in the ledger of a checkpoint, the latest where none is named."""
        key = self._key_of()
        parameters = Parameters(request, ("block_number",))
        entry_id, _ = parameters.path_identifier("journal_entry_id")
        size = _query_number(parameters, "block_number")
        parameters.check()
        tenant_id = request.client().tenant_id
        found = await self._proofs.entry(tenant_id, entry_id)
        if found is None:
            raise ProblemRaised("not_found")
        last = await self._proofs.last_block_number(tenant_id)
        if size is None:
            size = last
        elif not found.block.block_number <= size <= last:
            raise ProblemRaised(
                "not_found",
                f"The entry stands in block {found.block.block_number} and the last is {last}; "
                "block_number must be from the one to the other.",
            )
        tree = await self._tree(request, size, found.block.block_number - 1)
        return _answer(_proof(entry_id, found, tree, _checkpoint(key, request, tree)))

    async def _check_there(self, request: Request, size: int) -> None:
        last = await self._proofs.last_block_number(request.client().tenant_id)
        if size > last:
            raise ProblemRaised("not_found", f"The tenant's last block is {last}.")

    async def _tree(self, request: Request, size: int, *near: int) -> BlockTree:
        return await self._proofs.tree(request.client().tenant_id, size, *near)

    def _key_of(self) -> CheckpointKey:
        """The key, which comes first: without one no operation looks at a request any further."""
        if self._key is None:
            raise ProblemRaised(
                "not_found", "This server signs no checkpoints: HPTS_CHECKPOINT_KEY is not set."
            )
        return self._key


def _checkpoint(key: CheckpointKey, request: Request, tree: BlockTree) -> Checkpoint:
    tenant, root = request.client().tenant, tree.root
    return Checkpoint(tenant, tree.size, root.hex(), key.sign(tenant, tree.size, root))


def _proof(
    entry_id: bytes, found: EntryProof, tree: BlockTree, checkpoint: Checkpoint
) -> JournalEntryProof:
    block = found.block
    return JournalEntryProof(
        format_identifier(entry_id),
        base64.b64encode(found.canonical_entry).decode(),
        found.position,
        _hex(found.path),
        Block(
            block.block_number,
            block.previous_hash.hex(),
            format_identifier(block.first_entry_id),
            block.entry_count,
            block.entries_root.hex(),
        ),
        _hex(tree.inclusion_path(block.block_number)),
        checkpoint,
    )


def _answer(body: msgspec.Struct) -> Response:
    return money_response(msgspec.json.encode(body))


def _hex(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def _path_number(parameters: Parameters) -> int:
    text = parameters.path_text("block_number", BLOCK_NUMBER, BLOCK_NUMBER_FORM)
    return int(text) if BLOCK_NUMBER.fullmatch(text) else 0


def _query_number(parameters: Parameters, name: str) -> int | None:
    text = parameters.text(name)
    if text is None:
        return None
    if not BLOCK_NUMBER.fullmatch(text):
        parameters.refuse(name, "pattern", BLOCK_NUMBER_FORM)
        return 1
    return int(text)
