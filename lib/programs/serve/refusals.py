"""What the stand-in refuses, in the words and with the status of Ollama, or in its own where it has no such part."""

from __future__ import annotations

from typing import Any, NoReturn

from programs.serve.runner import Refused

WHERE = "https://ollama.com/download"
STAND_IN = "workbook serve, a stand-in for Ollama,"
_KINDS = {400: "invalid_request_error", 404: "not_found_error"}


class Misread(Refused):
    """A request to an OpenAI route that is refused before it is translated into one of Ollama's."""


def ollama_body(message: str) -> dict[str, Any]:
    """An error as Ollama's own routes answer it."""
    return {"error": message}


def openai_body(status: int, message: str) -> dict[str, Any]:
    """An error as Ollama's OpenAI routes answer it."""
    kind = _KINDS.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def body(path: str, status: int, message: str) -> dict[str, Any]:
    """The error for a request to ``path``."""
    return openai_body(status, message) if path.startswith("/v1/") else ollama_body(message)


def not_done(what: str) -> NoReturn:
    """Raises Refused (501): the real Ollama does ``what``, this does not."""
    raise Refused(501, f"{STAND_IN} does not do {what}; the real Ollama does: {WHERE}")


def unknown(name: str, pulling: bool = False) -> Refused:
    """No model of that name (404)."""
    return Refused(404, f'model "{name}" not found, try pulling it first' if pulling else f"model '{name}' not found")


def not_to_be_had(name: str) -> Refused:
    """A model that is not here cannot be pulled (500, as Ollama)."""
    return Refused(
        500, f"pull model manifest: file does not exist: {STAND_IN} fetches none, and has no {name!r}. Ollama: {WHERE}"
    )


def lacks(full_name: str, capability: str) -> Refused:
    """The model cannot do what is asked (400)."""
    return Refused(400, f"{full_name} does not support {capability}")
