"""A webhook receiver in a process of its own: notes every message in a file before it answers.

`python -m tests.relay.receiver PORT FILE [MODE]`; MODE is a file whose text says how to answer: a
status, `hang`, or `redirect`; a second word restricts that to messages that name it.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from aiohttp import web


def serve(port: int, notes: Path, mode: Path | None) -> None:
    output = notes.open("ab", buffering=0)

    async def receive(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        how, _, only = (mode.read_text() if mode and mode.exists() else "200").partition(" ")
        answer = how if not only or only in body.decode() else "200"
        status = 0 if answer == "hang" else 302 if answer == "redirect" else int(answer)
        note = {
            "at": time.time(),
            "status": status,
            "path": request.path,
            "headers": dict(request.headers),
            "body": body.decode(),
        }
        output.write(json.dumps(note).encode() + b"\n")
        if not status:
            await asyncio.sleep(3_600)
        headers = {"location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receive)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
