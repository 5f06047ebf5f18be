"""`hpts relay`: delivers webhooks."""

import argparse

import msgspec

from hpts.commands.arguments import Commands, add_command, database_of
from hpts.config import Settings


def add_relay_command(commands: Commands) -> None:
    add_command(
        commands,
        "relay",
        _relay,
        "Deliver webhooks.",
        "Needs HPTS_DATABASE_URL and HPTS_WEBHOOK_KEY. Several may run: each tenant is held by one "
        "and taken over within seconds when that one ends. `hpts dev` runs one of its own.",
    )


def _relay(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.application import record_webhook_key_use  # noqa: PLC0415
    from hpts.relay_process import run_relay  # noqa: PLC0415
    from hpts.store.migrate import check_schema  # noqa: PLC0415

    database_url = database_of(settings)
    check_schema(database_url)
    record_webhook_key_use(settings, database_url)
    run_relay(msgspec.structs.replace(settings, database_url=database_url))
    return 0
