"""Which worker serves a connection, and a client of each: for what must hold on all of them."""

import time
from pathlib import Path

from tests.conftest import Server

from .payers import Client
from .processes import workers_of

ESTABLISHED = "01"
REACH_SECONDS_MAX = 60


def client_of_each_worker(server: Server, token: str) -> list[Client]:
    """One connection to every worker; the kernel chooses, so it is tried until it has."""
    port = int(server.base_url.rpartition(":")[2])
    workers = {worker.pid for worker in workers_of(server.process)}
    assert len(workers) > 1
    found: dict[int, Client] = {}
    deadline = time.monotonic() + REACH_SECONDS_MAX
    while time.monotonic() < deadline:
        client = Client(port, token)
        assert client.get("/v1/health/live").status == 200
        worker = _worker_of(client.local_port, port, workers)
        if worker in found:
            client.close()
        found.setdefault(worker, client)
        if found.keys() == workers:
            return list(found.values())
        time.sleep(0.01)
    raise AssertionError(f"reached only {found.keys()} of {workers}")


def _worker_of(client_port: int, port: int, workers: set[int]) -> int:
    inode = _inode_of(client_port, port)
    (worker,) = [pid for pid in workers if f"socket:[{inode}]" in _descriptors(pid)]
    return worker


def _inode_of(client_port: int, port: int) -> str:
    """Of the server's end."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote, fields[3]) == (port, client_port, ESTABLISHED):
            return fields[9]
    raise AssertionError("the connection is not there")


def _descriptors(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except OSError:
            continue  # closed meanwhile
    return found
