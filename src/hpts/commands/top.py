"""`hpts top`: watch a running server in the terminal."""

import argparse
import sys
import time

from hpts.commands.arguments import CommandError, Commands, add_command
from hpts.config import Settings


def add_top_command(commands: Commands) -> None:
    command = add_command(
        commands,
        "top",
        _top,
        "Watch a running server: rates, latencies, lanes, batches, lags.",
        "It reads the server's metrics: a running `hpts dev` with this HPTS_STATE_DIR, or `hpts "
        "serve` with the same HPTS_METRICS_PORT. Ctrl-C ends it.",
    )
    command.add_argument("--url", help="where its metrics are, such as http://127.0.0.1:9464")
    command.add_argument(
        "--interval",
        type=_seconds,
        default=2.0,
        metavar="SECONDS",
        help="between two looks (default: %(default)s)",
    )
    command.add_argument(
        "--once", action="store_true", help="show one interval and end, as into a file or pipe"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number of seconds from 0.2 to 3600")
    return seconds


def _top(arguments: argparse.Namespace, settings: Settings) -> int:
    from rich.console import Console  # noqa: PLC0415  (starts slowly, not needed by all)
    from rich.live import Live  # noqa: PLC0415

    from hpts.development import metrics_url_of  # noqa: PLC0415
    from hpts.top.scrape import Scrape, ScrapeFailed, growth_between, scrape  # noqa: PLC0415
    from hpts.top.view import render, render_within  # noqa: PLC0415

    url = arguments.url or metrics_url_of(settings)
    if url is None:
        raise CommandError(
            "no server to watch: start `hpts dev` with this HPTS_STATE_DIR, or start `hpts serve` "
            "with HPTS_METRICS_PORT=9464 and set it here too, or give --url"
        )
    console = Console()
    try:
        before = scrape(url)
        if arguments.once or not sys.stdout.isatty():
            time.sleep(arguments.interval)
            console.print(render(url, growth_between(before, scrape(url))))
            return 0
        if console.is_dumb_terminal:  # it cannot be drawn over: one look below the other
            while True:
                time.sleep(arguments.interval)
                now = scrape(url)
                console.print(render(url, growth_between(before, now)))
                before = now
        first = render_within(console, url, growth_between(None, before))
        with Live(first, console=console, screen=True) as live:
            seen: Scrape | None = before
            while True:
                time.sleep(arguments.interval)
                try:
                    now = scrape(url)
                except ScrapeFailed as failed:  # stopped, or on its way up again
                    live.update(f"{failed}\nTrying again ...", refresh=True)
                    seen = None
                else:
                    shown = render_within(console, url, growth_between(seen, now))
                    live.update(shown, refresh=True)
                    seen = now
    except ScrapeFailed as failed:
        raise CommandError(str(failed)) from failed
