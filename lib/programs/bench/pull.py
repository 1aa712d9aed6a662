"""A model that Ollama downloads: its own stream under a bar, and in one line why it did not come."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import ollama
from tqdm import tqdm

from programs.bench import privacy
from programs.bench.fields import as_line

# Between two words of the server: it says none while it checks the sum of a file, and a large one takes minutes.
_TIMEOUT = httpx.Timeout(1800.0, connect=5.0)
_AGAIN = "Run the same command again: Ollama goes on where it stopped"
_MEANS = {
    "manifest: file does not exist": "its registry has no model of that name",
    "file does not exist": "its registry lacks a part of it",
    "digest mismatch": "what came is damaged and was thrown away. Run the same command again to download it anew",
    "no space left": "the disk is full",
    "max retries exceeded": f"its registry broke off. {_AGAIN}",
    "dial tcp": "its registry cannot be reached: is this machine on the network?",
}
"""Words of Ollama's errors, and what they mean to a reader."""


def pull(model: str, say: Callable[[str], None], host: str | None = None) -> str | None:
    """Let Ollama download the model; None when it has, else why not. Ctrl-C ends it, and keeps what came."""
    say(f"Ollama pulls {model} …")
    parts: dict[str, tuple[int, int]] = {}
    done = total = 0
    status, why = "", None
    try:
        with tqdm(desc=model, unit="B", unit_scale=True, disable=None, leave=False) as bar:
            for step in ollama.Client(host, timeout=_TIMEOUT).pull(model, stream=True):
                status = step.status or ""
                if step.digest:
                    parts[step.digest] = step.completed or 0, step.total or 0
                done, total = (sum(sizes) for sizes in zip(*parts.values(), strict=True)) if parts else (0, 0)
                bar.total, bar.n = total, done
                bar.set_postfix_str(status[:40])
    except KeyboardInterrupt:
        say(f"{model}: stopped at {done / 1e6:,.1f} MB. The same command goes on from there, if run again soon.")
        raise
    except ollama.ResponseError as error:
        why = _meaning(str(error.error))
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
        why = "not pulled: Ollama does not answer. Start it (ollama serve)"
    except (httpx.HTTPError, httpx.StreamError, ValueError, TypeError, AttributeError) as error:
        why = f"not pulled: Ollama broke off in mid-download ({type(error).__name__}). {_AGAIN}"
    if why is None and status != "success":
        why = "not pulled: Ollama ended the download before it was whole"
    say(f"! {model}: {why}" if why else f"{model}: pulled, {total / 1e6:,.1f} MB")
    return why


def _meaning(words: str) -> str:
    said = " ".join(privacy.text(as_line(words)).split())[:200]
    meant = next((meaning for sign, meaning in _MEANS.items() if sign in words), "")
    return f"not pulled: {meant} (Ollama says: {said})" if meant else f"not pulled: {said}"
