"""Errors as JSON: a code for programs, words with a remedy for people."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from querist.memory.errors import (
    BudgetExceeded,
    InvalidInput,
    LeaseLost,
    MissingExtra,
    ModelError,
    NotFound,
    NotOpen,
    QueristError,
    RunBusy,
    StoreError,
)

_STATUSES: tuple[tuple[type[QueristError], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (InvalidInput, 400, "invalid"),
    (MissingExtra, 400, "missing_extra"),
    (NotOpen, 409, "not_open"),
    (RunBusy, 409, "busy"),
    (LeaseLost, 409, "busy"),
    (BudgetExceeded, 402, "budget"),
    (ModelError, 502, "model"),
    (StoreError, 503, "store"),
)
_CODES = {
    400: "invalid", 401: "log_in", 403: "forbidden", 404: "not_found", 405: "invalid",
    409: "not_open", 413: "too_large", 415: "invalid", 422: "invalid",
}  # fmt: skip


class Problem(BaseModel):
    """What went wrong."""

    code: str
    message: str


class Refusal(BaseModel):
    """The body of every answer that is not a success."""

    error: Problem


def add_errors(app: FastAPI) -> None:
    """Answer every error that is raised on purpose in one shape."""

    @app.exception_handler(QueristError)
    def _ours(_: Request, error: QueristError) -> JSONResponse:
        for kind, status, code in _STATUSES:
            if isinstance(error, kind):
                return _answer(status, code, str(error))
        return _answer(500, "failed", str(error))

    @app.exception_handler(StarletteHTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "refused")
        return _answer(error.status_code, code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def _body(_: Request, error: RequestValidationError) -> JSONResponse:
        words = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()[:5]
        )
        return _answer(422, "invalid", words)


def _answer(
    status: int, code: str, words: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    body = Refusal(error=Problem(code=code, message=words))
    return JSONResponse(body.model_dump(), status, headers=headers)
