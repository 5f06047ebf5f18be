"""The OpenAPI document and the page that shows it; every asset comes with the package."""

from importlib.resources import files

from hpts.http.document import document_json
from hpts.http.messages import JSON, Request, Response
from hpts.http.problems import ProblemRaised

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


async def get_document(request: Request) -> Response:
    """The OpenAPI document as JSON."""
    return Response(200, document_json(), [JSON, ("cache-control", "no-cache")])


async def get_docs_page(request: Request) -> Response:
    """The page."""
    return _asset("docs.html")


async def get_docs_asset(request: Request) -> Response:
    """One of the page's own files."""
    (name,) = request.path_parameters
    return _asset(name)


def _asset(name: str) -> Response:
    known = {file.name for file in files("hpts.http.assets").iterdir()}
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
    if name not in known or media_type is None:
        raise ProblemRaised("not_found")
    body = files("hpts.http.assets").joinpath(name).read_bytes()
    headers = [("content-type", media_type), ("cache-control", "no-cache")]
    return Response(200, body, headers, is_page=True)
