"""What is answered instead of what was asked for: ``application/problem+json`` (RFC 9457)."""

from http import HTTPStatus
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """Why a request was not answered as it was meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str


def problem(status: int, detail: str) -> web.Response:
    """The answer that says so."""
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return web.Response(body=said.model_dump_json(), status=status, content_type="application/problem+json")
