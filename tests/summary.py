"""What tests note for the end of the run: it travels as properties of their reports, also between
the processes of a parallel run.
"""

from typing import Any


def noted(reporter: Any, name: str) -> list[Any]:
    """All that the tests of this run have noted under a name."""
    reports = [report for found in reporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    return [value for report in calls for key, value in report.user_properties if key == name]
