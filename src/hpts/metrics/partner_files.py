"""The files of the partners' listener for Prometheus: whether a reload could use them, and when
they expire. Where there is no such listener nothing is shown.
"""

import time
from collections.abc import Iterable
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hpts.config import ConfigError, Settings
from hpts.partner_files import check_partners, expiries

FRESH_SECONDS = 60


class PartnerFilesCollector(Collector):
    """Reads the files once a minute at most: revocation lists may be long."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = Lock()
        self._read_at = float("-inf")
        self._is_usable = False
        self._expiries: list[tuple[str, float]] = []

    def collect(self) -> Iterable[Metric]:
        usable = GaugeMetricFamily(
            "hpts_partner_files_usable",
            "Whether the partners' listener could be reloaded with its files as they are now.",
        )
        expiry = GaugeMetricFamily(
            "hpts_partner_file_expiry_timestamp_seconds",
            "When the first certificate in a file expires, or the next revocation list is due.",
            labels=["setting"],
        )
        if self._settings.partner_port is not None:
            with self._guard:
                if time.monotonic() - self._read_at > FRESH_SECONDS:
                    self._read()
                usable.add_metric([], int(self._is_usable))
                for setting, seconds in self._expiries:
                    expiry.add_metric([setting], seconds)
        yield from (usable, expiry)

    def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            check_partners(self._settings)
            self._is_usable = True
        except (ConfigError, OSError):  # the log says why at the next reload
            self._is_usable = False
        self._expiries = list(expiries(self._settings))
