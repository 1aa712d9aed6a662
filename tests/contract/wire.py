"""What goes over the wire, and how two servers' answers to one call differ, in words."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

HEADERS = ("access-control-allow-origin",)
COUNTS = ("eval_count", "completion_tokens", "done_reason", "finish_reason")  # they follow from the words
# Not the words of an answer: two builds of llama.cpp differ in the last digits, and so in some words.
EQUAL = ("thinking", "reasoning", "name", "arguments", "role", "model", "index", "done", *COUNTS, "prompt_eval_count",
         "prompt_tokens", "capabilities", "context_length", "quantization_level", "parameter_size", "template")  # fmt: skip
ANY = ("model_info", "tensors", "modelfile", "details")  # `ollama create` writes a file anew: other keys, another order
LOGPROB_WITHIN = 0.3  # two builds of llama.cpp on one file: a token's probability within a third
COSINE = 0.999


@dataclass(frozen=True)
class Reply:
    """One HTTP answer, read to its end."""

    status: int
    kind: str
    text: str
    headers: httpx.Headers

    @property
    def values(self) -> list[Any]:
        """One value of a JSON answer, one a line of NDJSON, one an event of SSE ("[DONE]" as text); else the text."""
        if self.kind == "application/x-ndjson":
            return [json.loads(line) for line in self.text.splitlines()]
        if self.kind == "text/event-stream":
            events = [block.removeprefix("data: ") for block in self.text.rstrip("\n").split("\n\n")]
            return [event if event == "[DONE]" else json.loads(event) for event in events]
        return [json.loads(self.text)] if self.kind == "application/json" and self.text else [self.text]

    @property
    def value(self) -> Any:
        """The one value, or the last line."""
        return self.values[-1]


def call(url: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
    """Send ``body`` (an object as JSON, bytes as they are) and read the answer to its end."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    sent = ({"Content-Type": "application/json"} if content is not None else {}) | (headers or {})
    answer = httpx.request(method, url + path, content=content, headers=sent, timeout=120)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return Reply(answer.status_code, kind, answer.content.decode(), answer.headers)


def differences(theirs: Reply, ours: Reply, free: bool = False) -> list[str]:
    """What a client would notice: other fields or types, order, counts, ends; not times, ids, words.

    ``free``: the answers may be of other lengths.
    """
    if theirs.kind != ours.kind and theirs.status < 400:
        return [f"{theirs.kind} / {ours.kind}"]
    for name in HEADERS:
        pair = [sorted(reply.headers.get(name, "").replace(" ", "").split(",")) for reply in (theirs, ours)]
        if pair[0] != pair[1]:
            return [f"{name}: {pair[0]} / {pair[1]}"]
    a, b = theirs.values, ours.values
    if free:
        a, b = [a[0], a[-1]], [b[0], b[-1]]
    if len(a) != len(b):
        return [f"{len(a)} / {len(b)} lines"]
    found = [found for i, pair in enumerate(zip(a, b, strict=True)) for found in _differ(*pair, f"{i}")]
    return [line for line in found if not (free and line.partition(":")[0].endswith(COUNTS))]


def _differ(a: Any, b: Any, at: str) -> Iterator[str]:
    name = at.rpartition(".")[2].partition("[")[0]
    if type(a) is not type(b):
        yield f"{at}: {type(a).__name__} / {type(b).__name__}"
    elif isinstance(a, dict) and name not in ANY:
        if set(a) != set(b):
            yield f"{at}: fields {sorted(set(a) ^ set(b))}"
        for key in set(a) & set(b):
            yield from _differ(a[key], b[key], f"{at}.{key}")
    elif name in ("embedding", "embeddings") and a:
        if vectors(a).shape != vectors(b).shape or cosines(a, b).min() < COSINE:
            yield f"{at}: another vector"
    elif isinstance(a, list) and name in ("models", "data"):
        # By name, not by place; what a model can do, Ollama lists less fully than it shows it.
        a, b = ({m.get("name") or m.get("id") or m["index"]: {**m, "capabilities": ""} for m in of} for of in (a, b))
        yield from _differ(a, b, f"{at}[]")
    elif isinstance(a, list) and name not in (*ANY, "context"):
        if len(a) != len(b):
            yield f"{at}: {len(a)} / {len(b)} items"
        for i, pair in enumerate(zip(a, b, strict=False)):
            yield from _differ(*pair, f"{at}[{i}]")
    elif name == "logprob":
        if not math.isclose(a, b, abs_tol=LOGPROB_WITHIN):
            yield f"{at}: {a} / {b}"
    elif name.endswith("_duration") and not a > 0 < b:
        yield f"{at}: {a} / {b}"
    elif name in EQUAL and a != b:
        yield f"{at}: {str(a)[:100]!r} / {str(b)[:100]!r}"


def vectors(value: Any) -> np.ndarray:
    """A vector, a list of vectors, or base64 of float32."""
    if isinstance(value, str):
        value = np.frombuffer(base64.b64decode(value), dtype="<f4")
    return np.atleast_2d(np.array(value, dtype=float))


def cosines(a: Any, b: Any) -> np.ndarray:
    """Row by row."""
    a, b = vectors(a), vectors(b)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
