"""The files of the partners' listener for Prometheus: whether a reload could use them, and when
they expire. Where there is no such listener nothing is shown.
"""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hpts.config import ConfigError, Settings
from hpts.partner_files import expiries


class PartnerFilesCollector(Collector):
    """Reads the files at every scrape: they may be replaced at any time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

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
            try:
                found = list(expiries(self._settings))
            except ConfigError:
                usable.add_metric([], 0)  # the log says why at the next reload
            else:
                usable.add_metric([], 1)
                for setting, seconds in found:
                    expiry.add_metric([setting], seconds)
        yield from (usable, expiry)
