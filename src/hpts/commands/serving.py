"""`hpts dev`, `serve`, `migrate` and `config`: what runs the server and its database."""

import argparse

from hpts.commands.arguments import Commands, add_command, database_of
from hpts.config import Settings, describe_settings


def add_serving_commands(commands: Commands) -> None:
    add_command(
        commands,
        "dev",
        _dev,
        "Run everything on this machine.",
        "It starts PostgreSQL, an issuer of tokens, the server and the delivery of webhooks, adds "
        "a demo tenant, and prints a token and commands to try. Ctrl-C stops it; the books stay "
        "in HPTS_STATE_DIR and are there when it starts again.",
    )
    add_command(
        commands,
        "serve",
        _serve,
        "Run the server.",
        "Needs HPTS_DATABASE_URL of a login that may become hpts_app, HPTS_ISSUER and "
        "HPTS_JWKS_URL, and a schema of this build (`hpts migrate`). SIGTERM answers what was "
        "accepted and ends it; docs/OPERATIONS.md says how to run it for real.",
    )
    add_command(
        commands,
        "migrate",
        _migrate,
        "Bring the database's schema to this build's version.",
        "Needs HPTS_DATABASE_URL of a login that may become hpts_owner. Stop the servers first; a "
        "schema that is up to date stays as it is.",
    )
    add_command(
        commands,
        "config",
        _config,
        "Print the effective settings, secrets masked.",
        "Each with what it means; where one cannot be used, it says so and ends with status 1.",
    )


def _dev(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.development import run_development  # noqa: PLC0415

    run_development(settings)
    return 0


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.application import record_key_use  # noqa: PLC0415
    from hpts.server import check_serving, run_server  # noqa: PLC0415
    from hpts.store.migrate import check_schema  # noqa: PLC0415

    check_serving(settings)
    check_schema(settings.database_url or "")
    record_key_use(settings, settings.database_url or "")
    run_server(settings)
    return 0


def _migrate(_: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.migrate import migrate  # noqa: PLC0415

    count = migrate(database_of(settings), report=print)
    print("The schema is up to date." if count == 0 else f"Applied {count} migrations.")
    return 0


def _config(_: argparse.Namespace, settings: Settings) -> int:
    for name, value, meaning in describe_settings(settings):
        print(f"{name}={value}  # {meaning}")
    return 0
