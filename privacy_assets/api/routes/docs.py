"""``/docs``: Swagger UI on the API's own OpenAPI document, with nothing from elsewhere.

FastAPI's own page fetches its scripts from a CDN and has one inline; here all are files of this server, so
that the page's policy allows no other.
"""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from privacy_assets.api.problems import Problem
from privacy_assets.api.services import Services

# Swagger UI sets styles on elements, and has its icons in data: URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DAY = "public, max-age=86400"
_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START = """\
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>privacy-assets API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript; it shows <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""


def router(_: Services) -> APIRouter:
    """The page and its files."""
    made = APIRouter(include_in_schema=False)

    @made.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    @made.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @made.get("/docs/{name}")
    def file(name: str) -> Response:
        if name not in _TYPES:
            raise Problem(404, "no such address")
        body = files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(body, media_type=_TYPES[name], headers={"Cache-Control": _DAY})

    return made
