"""What a scanner looks for in answers: on each of the API's, on problems, and on the API page."""

import re
from importlib.resources import files
from typing import Any

import pytest

from hpts.http import docs
from hpts.http.client_certificate import Entrance
from hpts.http.messages import Request, Response
from hpts.http.problems import ProblemRaised
from tests.http.asgi import Answer, answer

ASSETS = files("hpts.http.assets")
TRANSPORT = b"strict-transport-security"
COMMON = {
    b"x-content-type-options": b"nosniff",
    b"cross-origin-resource-policy": b"same-origin",
}


async def refusing(request: Request) -> Response:
    raise ProblemRaised("bad_request")


def policy_of(found: Answer) -> dict[str, str]:
    """The Content-Security-Policy, directive by directive."""
    parts = found.headers[b"content-security-policy"].decode().split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


@pytest.mark.parametrize(
    "found",
    [
        answer(),
        answer(refusing),
        answer(path="/v1/nothing"),
        answer(method="DELETE"),
        answer(path="/v1/closed"),
    ],
    ids=["200", "400", "404", "405", "401"],
)
def test_an_answer_is_shown_and_run_by_no_browser(found: Answer) -> None:
    assert COMMON.items() <= found.headers.items()
    assert policy_of(found) == {"default-src": "'none'", "frame-ancestors": "'none'"}
    assert TRANSPORT not in found.headers, "where TLS ends is not known here"


def test_the_page_runs_its_own_files_and_nothing_else() -> None:
    found = answer(docs.get_docs_page)
    assert found.status == 200
    assert COMMON.items() <= found.headers.items()
    policy = policy_of(found)
    assert policy["default-src"] == policy["form-action"] == "'none'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in found.headers[b"content-security-policy"].decode()
    assert found.headers[b"x-frame-options"] == b"DENY"
    assert found.headers[b"referrer-policy"] == b"no-referrer"
    assert found.headers[b"cross-origin-opener-policy"] == b"same-origin"
    assert b"camera=()" in found.headers[b"permissions-policy"]


def test_a_page_that_is_not_there_is_an_answer_like_any_other() -> None:
    found = answer(docs.get_docs_asset, method="GET", path="/v1/things/none.css")
    assert found.problem["code"] == "not_found"
    assert policy_of(found)["default-src"] == "'none'"


def test_the_page_has_nothing_inline_that_its_policy_would_refuse() -> None:
    page = re.sub("<!--.*?-->", "", ASSETS.joinpath("docs.html").read_text(), flags=re.DOTALL)
    assert not re.search(r"\s(?:style|on\w+)=", page)
    assert all(" src=" in tag for tag in re.findall("<script[^>]*>", page))
    assert "<style" not in page
    loaded = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert loaded and all(path.startswith(("/docs/", "/v1/")) for path in loaded)
    script = ASSETS.joinpath("docs.js").read_text()
    assert not re.search(r"""innerHTML|eval\(|Function\(|["']style["']|\.style\b""", script)


@pytest.mark.parametrize("handler", [refusing, docs.get_docs_page])
def test_a_listener_that_speaks_tls_says_so_for_two_years(handler: Any) -> None:
    found = answer(handler, entrance=Entrance(is_for_partners=True))
    assert found.headers[TRANSPORT] == b"max-age=63072000"
