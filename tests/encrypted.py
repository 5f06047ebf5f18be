"""An embedded PostgreSQL that answers over TCP and TLS, with passwords, as one elsewhere does; and
a forwarder that cuts such connections, whose bytes say nothing of what they carry.
"""

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from hpts.embedded import PORT, EmbeddedPostgres

from .certificates import SERVER, Authority
from .conftest import free_port

HBA = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
READ_BYTES_MAX = 65_536


class EncryptedPostgres(EmbeddedPostgres):
    """Listens on a loopback port too, with a certificate of `authority`."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, settings={"shared_buffers": "32MB", "max_connections": "60"})
        self._issued = authority.issue("database", SERVER)
        self._authority = authority
        self._tcp_port = 0

    @property
    def url(self) -> str:
        """As superuser through the socket."""
        return super().url.replace(f"port={PORT}", f"port={self._tcp_port or PORT}")

    def start(self) -> str:
        """Twice: its data directory must be there before its certificate can be put in it."""
        super().start()
        self.stop()
        data_dir = self._data_dir
        shutil.copyfile(self._issued.path, data_dir / "server.crt")
        shutil.copyfile(self._issued.key_path, data_dir / "server.key")
        (data_dir / "pg_hba.conf").write_text(HBA)
        found = data_dir.stat()
        for name in ("server.crt", "server.key"):
            (data_dir / name).chmod(0o600)
            os.chown(data_dir / name, found.st_uid, found.st_gid)
        self._tcp_port = free_port()
        return super().start()

    def encrypted_url(self, login: str, password: str, database: str, port: int = 0) -> str:
        """Over TLS, the server's certificate checked; through `port`, where a forwarder listens."""
        return make_conninfo(
            host="127.0.0.1",
            port=port or self._tcp_port,
            user=login,
            password=password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self._authority.path),
        )

    @asynccontextmanager
    async def forwarded(self, cuts: "Cuts") -> AsyncIterator[int]:
        """A port whose connections lead here and are cut as `cuts` has it."""
        server = await asyncio.start_server(
            lambda reader, writer: cuts.forward(reader, writer, self._tcp_port), "127.0.0.1", 0
        )
        async with server:
            yield server.sockets[0].getsockname()[1]

    def _server_command(self, binaries: Path) -> tuple[str, ...]:
        command = super()._server_command(binaries)
        if not self._tcp_port:
            return command
        return (
            *command,
            "--listen_addresses=127.0.0.1",
            f"--port={self._tcp_port}",
            "--ssl=on",
        )


class Cuts:
    """Ends connections after a number of bytes, in whichever direction, drawn for each anew."""

    def __init__(self, draw: random.Random, bytes_max: int) -> None:
        self._draw, self._bytes_max = draw, bytes_max
        self.is_cutting = False
        self.count = 0

    async def forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """One connection, until either end or a cut ends it."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        left = self._draw.randrange(self._bytes_max)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal left
            while found := await source.read(READ_BYTES_MAX):
                if self.is_cutting:
                    left -= len(found)
                    if left < 0:
                        self.count += 1
                        target.write(found[:left])
                        return
                target.write(found)
                await target.drain()

        both = [
            asyncio.create_task(pass_on(reader, to_server)),
            asyncio.create_task(pass_on(from_server, writer)),
        ]
        with contextlib.suppress(ConnectionError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        for end in (writer, to_server):
            end.close()
