"""A PostgreSQL with a standby that every COMMIT waits for, and `hpts serve` that knows both.

It finds the one that takes postings by itself. Nobody starts a killed primary again: the standby is
promoted, and another one is made of it.
"""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hpts.embedded import EmbeddedPostgres
from hpts.http.issuer import DevelopmentIssuer
from tests.standby import promote, require_standby, start_standby
from tests.system.processes import Process, descendants, wait_until_gone

from .background import Background
from .world import LOGIN, SETTINGS, World, is_running, send

PLACES = ("one", "two")
"""A server that is made anew takes the place, and so the address, of the one that has ended."""
STANDBY_SETTINGS = {**SETTINGS, "hot_standby": "on", "wal_retrieve_retry_interval": "100ms"}


class Pair(World):
    """A primary and its standby; a context manager. For the main thread."""

    def __init__(self, folder: Path, issuer: DevelopmentIssuer, background: Background) -> None:
        super().__init__(folder, issuer, background)
        self._primary_place, self._standby_place = PLACES
        self._postgres = EmbeddedPostgres(folder / self._primary_place, settings=SETTINGS)
        self._standby: EmbeddedPostgres | None = None
        self.promotions_count = 0

    @property
    def standby(self) -> EmbeddedPostgres:
        assert self._standby is not None
        return self._standby

    def complete(self) -> None:
        """Where the primary is alone, make a standby of it and require it from then on."""
        if self._standby is not None:
            return
        folder = self._folder / self._standby_place
        shutil.rmtree(folder, ignore_errors=True)
        primary_folder = self._folder / self._primary_place
        self._standby = start_standby(self.database_url, primary_folder, folder, STANDBY_SETTINGS)
        self.postgres_starts += 1
        require_standby(self.database_url)

    def kill_primary(self) -> None:
        """Every process of it at once."""
        below = self.postgres_processes()
        for process in (self.postmaster, *below):
            send(process, signal.SIGKILL)
        wait_until_gone([self.postmaster, *below])
        self._postgres.stop()

    def promote_standby(self) -> None:
        """The standby takes the primary's part."""
        promote(self.standby.url)
        self.promotions_count += 1
        self._postgres, self._standby = self.standby, None
        self._primary_place, self._standby_place = self._standby_place, self._primary_place
        self._note_postmaster()

    def standby_processes(self) -> list[Process]:
        """The postmaster first."""
        own = [found for found in descendants(os.getpid()) if found.pid == self.standby.pid]
        return [*own, *descendants(self.standby.pid)]

    def _mend_postgres(self) -> None:
        """Only a standby is started again."""
        if self._standby is not None and not is_running(self._standby.pid):
            self._standby.start()
            self.postgres_starts += 1

    def _mount_wal_disk(self, stack: contextlib.ExitStack) -> None:
        """None: that fault needs no standby."""

    def _start_postgres(self) -> None:
        super()._start_postgres()
        self.complete()

    def _stop_postgres(self) -> None:
        if self._standby is not None:
            self._standby.stop()
        super()._stop_postgres()

    def _url_to_serve(self) -> str:
        known = [conninfo_to_dict(url) for url in self._urls()]
        return make_conninfo(
            self.database_url,
            user=LOGIN,
            host=",".join(str(each["host"]) for each in known),
            port=",".join(str(each["port"]) for each in known),
            target_session_attrs="read-write",
        )

    def _urls(self) -> list[str]:
        return [EmbeddedPostgres(self._folder / place).url for place in PLACES]
