"""Addresses of servers: how a page may show them, and which processes of this machine serve them."""

from __future__ import annotations

from urllib.parse import urlsplit

import psutil

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # the last two: every address, so this machine too
_NAMES = ("ollama", "llama-server", "vllm")


def is_loopback(url: str) -> bool:
    """Whether ``url`` is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def shown(url: str, variable: str) -> str:
    """A loopback address in full; another by the name of the variable that holds it, so that no page tells it."""
    return urlsplit(url).netloc if is_loopback(url) else f"the address in {variable}"


def tree_listening_on(url: str) -> tuple[int, ...]:
    """The pids of the server at a loopback ``url`` and of its children; () where it is elsewhere or unknown."""
    if not is_loopback(url):
        return ()
    port = urlsplit(url).port
    try:
        connections = psutil.net_connections("tcp")
        owners = [c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port]
    except psutil.AccessDenied:  # macOS shows other processes' connections to root only
        owners = [None]
    listening = [pid for pid in owners if pid]
    if owners and not listening:  # Linux does not name the process of another user, such as a service's
        listening = [p.pid for p in psutil.process_iter(["name"]) if (p.info["name"] or "").startswith(_NAMES)]
    found: set[int] = set(listening)
    for pid in listening:
        try:
            found.update(child.pid for child in psutil.Process(pid).children(recursive=True))
        except psutil.Error:
            found.discard(pid)
    return tuple(sorted(found))
