"""What a stored page must not hold: keys, this machine's names and paths, errors nobody meant."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbook import paths

KEYS = (
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter; not "mask-…" of a stylesheet
    r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}",  # Hugging Face
    r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}",  # Google
    r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}",  # Amazon
    r"Bearer [A-Za-z0-9._-]{20,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
PATHS = (
    r"(?<![\w.~])/(?:home|Users)/[^/\s\"'<>]+",
    r"(?<![\w.~])/root/[^\s\"'<>]+",
    r"\b[A-Za-z]:\\{1,2}Users\\{1,2}[^\\\s\"'<>]+",
    r"(?<![\w.~])(?:/private)?(?:/tmp|/var/folders)/[^\s\"'<>]+",
    r"ipykernel_\d+",
)
KEY_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)$")
COMMON_NAMES = frozenset({
    "root", "user", "users", "admin", "administrator", "guest", "student", "ubuntu", "debian", "runner", "jovyan",
    "docker", "vagrant", "local", "localhost", "home", "laptop", "desktop", "server", "main", "build", "host",
    "node", "machine", "computer", "python", "jupyter", "windows", "linux", "macos",
})  # fmt: skip
"""Names of users and hosts that are ordinary words: to find one in a text says nothing."""

LOOPBACK = ("127.0.0.1", "::1", "0.0.0.0", "::")

CODE = ("_esm", "_css")
"""Of a widget's state: the program and the style of its class, which stand in a cell or in ``lib/``."""

Finding = tuple[str, str]
"""(what it is, as much of it as may be shown)"""


def this_machine(env: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """(what, pattern) for what only this machine holds: its keys, folders, names."""
    env = os.environ if env is None else env
    made = [("a key", re.escape(value)) for name, value in env.items() if KEY_NAMES.search(name) and len(value) >= 8]
    known = (paths.root(), Path.home(), paths.cache(), paths.results(), Path(tempfile.gettempdir()))
    folders = {folder for folder in known if len(folder.parts) > 2}
    for folder in sorted(folders):
        if not folders.intersection(folder.parents):
            made.append(("an absolute path", re.escape(str(folder)).replace(r"\\", r"\\{1,2}")))
    host = socket.gethostname()
    label = host.split(".")[0]
    named = [("the host's name", host if label.lower() in COMMON_NAMES else label), ("the user's name", _user())]
    for what, name in [*named, ("a host's name", _server(env))]:
        if len(name) > 3 and name.lower() not in COMMON_NAMES:
            made.append((what, rf"(?i)(?<![\w-]){re.escape(name)}(?![\w-])"))
    return made


def _server(env: Mapping[str, str]) -> str:
    """The other machine that ``OLLAMA_HOST`` names, or "": with its own port the loopback address tells nothing."""
    try:
        name = urlsplit("//" + env.get("OLLAMA_HOST", "").rpartition("//")[2]).hostname or ""
    except ValueError:
        return ""
    return "" if name in LOOPBACK else name


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return ""


def everywhere() -> list[tuple[str, str]]:
    """(what, pattern) for what is wrong on any machine."""
    return [("a key", pattern) for pattern in KEYS] + [("an absolute path", pattern) for pattern in PATHS]


def find(text: str, patterns: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What of ``patterns`` stands in ``text``; a key is not repeated in full."""
    for what, pattern in patterns:
        found = re.search(pattern, text)
        if found:
            yield what, (found.group()[:4] + "…" if what == "a key" else found.group()[:60])


def texts(value: Any) -> Iterator[str]:
    """Every text inside an output; pictures (base64) and programs of widgets left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            picture = key.startswith("image/") and key != "image/svg+xml"
            if not picture and key not in CODE:
                yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)


def refusals(notebook: Any, patterns: Iterable[tuple[str, str]] | None = None) -> list[str]:
    """Why ``notebook`` must not be stored as it is, a line each; empty when it may."""
    patterns = list(everywhere() + this_machine() if patterns is None else patterns)
    keys = [(what, pattern) for what, pattern in patterns if what == "a key"]
    made = []
    for number, cell in enumerate(notebook.cells, 1):
        where = f"cell {number} ({cell.get('id', 'no id')})"
        made += [f"{where} has {what} in its text: {part}" for what, part in find(cell.source, keys)]
        rest = "\n".join(texts([dict(cell.metadata), dict(cell.get("attachments", {}))]))
        made += [f"{where} has {what} in its metadata: {part}" for what, part in find(rest, patterns)]
        if cell.cell_type == "code":
            printed = "\n".join(texts([dict(output) for output in cell.outputs]))
            made += [f"{where} shows {what}: {part}" for what, part in find(printed, patterns)]
            made += [f"{where} {problem}" for problem in _unmeant(cell)]
    for name, value in notebook.metadata.items():
        found = find("\n".join(texts(json.loads(json.dumps(value)))), patterns)
        made += [f"the page's metadata ({name}) hold {what}: {part}" for what, part in found]
    return made


def _unmeant(cell: Any) -> Iterator[str]:
    raised = [output.ename for output in cell.outputs if output.output_type == "error"]
    meant = "raises-exception" in cell.metadata.get("tags", [])
    if raised and not meant:
        yield f"ends with {raised[0]} and has no tag raises-exception"
    if meant and not raised and cell.execution_count is not None:
        yield "has the tag raises-exception and raises nothing"
