"""The contract lane: our engines against the real servers. Missing servers skip it, or fail where it is required."""

import os

import pytest
from servers import Server, llama_server_binary, ollama_binary, ollama_serving


def _required() -> bool:
    return "contract" in os.environ.get("WORKBOOK_REQUIRE", "").split(",")


def _need(found: object, what: str) -> None:
    if found is None and _required():
        pytest.fail(f"{what} is required here (WORKBOOK_REQUIRE=contract) and missing: name it in WORKBOOK_OLLAMA")
    if found is None:
        pytest.skip(f"no {what} on this machine: put it on the path or name it in WORKBOOK_OLLAMA")


@pytest.fixture(scope="session")
def ollama_there() -> None:
    _need(ollama_binary(), "real Ollama")


@pytest.fixture(scope="session")
def llama_server_there(ollama_there: None) -> None:
    _need(llama_server_binary(), "llama-server beside Ollama")


@pytest.fixture(scope="session")
def ollama(ollama_there: None, tmp_path_factory: pytest.TempPathFactory):
    """A real Ollama with models, for the whole session."""
    with ollama_serving(tmp_path_factory.mktemp("ollama")) as server:
        yield server


@pytest.fixture
def at_ollama(ollama: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The environment of a user with that Ollama."""
    for name in ("WORKBOOK_ENGINE", "WORKBOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    monkeypatch.setenv("OPENAI_BASE_URL", ollama.url + "/v1")
    return ollama
