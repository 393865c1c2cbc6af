"""What is answered when a request cannot be: JSON problems (RFC 9457)."""

from http import HTTPStatus

from starlette.responses import JSONResponse

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem document with *status* and one sentence of *detail*."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        },
        status_code=status,
        headers={**HEADERS, **(headers or {})},
        media_type="application/problem+json",
    )
