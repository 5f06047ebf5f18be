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
        "PostgreSQL, issuer, demo tenant, server.",
    )
    add_command(
        commands,
        "serve",
        _serve,
        "Run the server.",
        "Needs HPTS_DATABASE_URL, HPTS_ISSUER, HPTS_JWKS_URL.",
    )
    add_command(
        commands, "migrate", _migrate, "Bring the database's schema to this build's version."
    )
    add_command(commands, "config", _config, "Print the effective settings, secrets masked.")


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
