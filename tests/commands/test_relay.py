"""The unit for systemd in deploy/ starts the command that there is, and gives it time to end."""

import configparser
import re
import shlex

from hpts.config import VARIABLES
from hpts.domain import limits
from tests.relay.world import ROOT

UNIT = ROOT / "deploy" / "systemd" / "hpts-relay@.service"


def test_the_unit_starts_a_relay_again_and_lets_it_end() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert shlex.split(service["ExecStart"])[1:] == ["relay"]
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) > limits.WEBHOOK_SECONDS_MAX
    assert set(re.findall(r"HPTS_\w+", UNIT.read_text())) <= VARIABLES.keys()
