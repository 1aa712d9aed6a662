"""The contract lane: our engines and our endpoint against the real servers.

Missing servers skip it, or fail where it is required.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, create, llama_server_binary, need, ollama_binary, ollama_serving, workbook_serving
from toolish import TOOLISH, written


@pytest.fixture(scope="session")
def ollama_there() -> None:
    need(ollama_binary(), "real Ollama", "put it on the path or name it in WORKBOOK_OLLAMA")


@pytest.fixture(scope="session")
def llama_server_there(ollama_there: None) -> None:
    need(llama_server_binary(), "llama-server", "it stands beside Ollama, in ../lib/ollama")


@pytest.fixture(scope="session")
def toolish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that knows tools and thinking."""
    return written(tmp_path_factory.mktemp("toolish") / "toolish.gguf")


@pytest.fixture(scope="session")
def ollama(ollama_there: None, toolish: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Ollama with models, for the whole session; where no thread is asked for, one."""
    with ollama_serving(tmp_path_factory.mktemp("ollama")) as server:
        create(server, TOOLISH, toolish)
        yield server


@pytest.fixture(scope="session")
def ours(toolish: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``workbook serve`` with the same models, for the whole session."""
    with workbook_serving(tmp_path_factory.mktemp("serve"), "--model", f"{TOOLISH}={toolish}") as server:
        yield server


@pytest.fixture(params=["ollama", "serve"])
def server(request: pytest.FixtureRequest) -> Server:
    """The real one and ours in turn: one test body, two servers."""
    found: Server = request.getfixturevalue("ollama" if request.param == "ollama" else "ours")
    return found


@pytest.fixture
def at_ollama(ollama: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The environment of a user with that Ollama."""
    for name in ("WORKBOOK_ENGINE", "WORKBOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    monkeypatch.setenv("OPENAI_BASE_URL", ollama.url + "/v1")
    return ollama
