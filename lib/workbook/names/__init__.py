"""What a model's name says, and no more: family, version, sizes, variants, quantization, format, who publishes it.

It reads Ollama tags (``llama3.3:70b-instruct-q4_K_M``), Hugging Face ids (``Qwen/Qwen3-30B-A3B``), names of GGUF and
safetensors files with their parts (``…-00001-of-00003.gguf``), and the addresses that lead to them. What is not in the
name is None. Its words are rows of ``data/reference/name_words.csv``, the families it knows those of ``models.csv``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from workbook.errors import BadName
from workbook.names import vocabulary

__all__ = ["BadName", "ModelName", "parse"]

LONGEST = 400
"""Characters; the longest names in use are a third of it."""

_SITES = ("huggingface.co", "hf.co", "ollama.com")


@dataclass(frozen=True)
class ModelName:
    """What one name says. Sizes in billions of parameters; None: the name does not say.

    ``size_b``: all parameters; ``active_b``: those used for one token (``A3B``); ``effective_b``: Gemma's ``E4B``;
    ``experts`` of ``expert_b`` each (``8x7B``), whose product is no size. ``also``: another family in the name;
    ``size_word``: mini, small, large; ``date`` and ``context`` as written; ``part`` of ``parts``: one file of several;
    ``notes``: what other numbers count (pixels, groups, tokens of training), and a maker who is not the organisation;
    ``unread``: words with a meaning that is not known here. Letters are small, but for ``text``, ``organisation``,
    ``tag``, and ``quantization``, whose are large.
    """

    text: str
    family: str
    version: str | None = None
    size_b: float | None = None
    active_b: float | None = None
    effective_b: float | None = None
    experts: int | None = None
    expert_b: float | None = None
    size_word: str | None = None
    variants: tuple[str, ...] = ()
    also: str | None = None
    date: str | None = None
    context: str | None = None
    quantization: str | None = None
    format: str | None = None
    organisation: str | None = None
    registry: str | None = None
    tag: str | None = None
    part: int | None = None
    parts: int | None = None
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def parse(text: str) -> ModelName:
    """What the name ``text`` says. Raises BadName, and nothing else, for what is no name of a model."""
    if not isinstance(text, str):
        raise BadName(f"a name is text, not {type(text).__name__}. Write it in quotes.")
    text = text.strip()
    if not text or len(text) > LONGEST or not re.fullmatch(r"[A-Za-z0-9._:/~\\-]+", text):
        raise BadName(f"{_quoted(text)} is no name: letters, digits and - _ . : / only, no spaces. Example: qwen3:8b")
    parser = _Parser(text)
    for stem in _stems(text, parser):
        parser.open_family = parser.family is None and not parser.read.keys() - {"notes"}
        parser.stem(stem)
    return parser.name()


def _stems(text: str, parser: _Parser) -> list[str]:
    """The parts of ``text`` that describe the model, the places around them noted in ``parser``."""
    address = re.fullmatch(r"https?://(.+?)/?", text)
    path = address[1] if address else text
    if cached := vocabulary.CACHED.search(path):  # a folder of the Hugging Face cache, or a file in it
        path = "/".join(filter(None, cached.groups()))
    elif "/" not in path and re.fullmatch(r"[A-Za-z][\w.-]*?--[A-Za-z][\w.-]+", path):
        path = path.replace("--", "/", 1)  # as programs write organisation/name where a slash cannot stand
    if re.match(r"[/~.]|[A-Za-z]:[\\/]", path) or "\\" in path:  # a file on this machine: its folders say nothing
        path = re.split(r"[/\\]", path)[-1]
        if PurePosixPath(path).suffix.lower() not in vocabulary.EXTENSIONS:
            raise BadName(f"{_quoted(text)} is a path, and no model file's. Give the file's name.")
    parts = path.split("/")
    if len(parts) > 2 - (parts[0].lower() in _SITES) and vocabulary.REGISTRY.fullmatch(parts[0]):
        parser.registry = parts.pop(0).lower()
    last, _, tag = parts[-1].partition(":")
    parts[-1] = last
    if (
        last.lower() in _SITES
        or any(not part for part in parts)
        or ":" in "".join(parts) + tag
        or parts[-1].strip(".-_") == ""
    ):
        raise BadName(f"{_quoted(text)} has an empty part, or a colon too many.")
    is_file = PurePosixPath(last).suffix.lower() in vocabulary.EXTENSIONS
    if len(parts) > 1 and not (is_file and len(parts) == 2 and _is_folder_of(*parts)):
        parser.organisation = parts[0] if parts[0] != "library" else None
    if len(parts) > 2 and not is_file and not (address and parts[2] in ("tree", "blob", "resolve")):
        raise BadName(f"{_quoted(text)} has more parts than organisation/name.")
    parser.tag = tag or None
    if not is_file:
        stem = parser.made(parts[1] if len(parts) > 2 else last)
        return [stem, *([tag] if tag and tag != "latest" else [])]
    stem = parser.file(last)
    generic = vocabulary.GENERIC.match(stem)  # model-00001-of-00004: only the repository names it
    rest = stem[generic.end() :] if generic else stem
    return [parts[1], rest] if generic and len(parts) > 2 else [rest]


def _is_folder_of(folder: str, file: str) -> bool:
    """Whether a file lies in a folder of its repository, as parts of large models do: Name-Q8_0/Name-Q8_0-00001-…"""
    return file.lower().startswith(folder.lower()) or bool(vocabulary.QUANT.fullmatch(folder))


@dataclass
class _Parser:
    """Reads a name from left to right: every word is a size, a date, a word of the trade, the family's, or unread.

    It holds what was found so far. ``open_family``: the next plain word still belongs to the family's name.
    """

    text: str
    registry: str | None = None
    organisation: str | None = None
    tag: str | None = None
    family: str | None = None
    open_family: bool = True
    found: dict[str, Any] = field(default_factory=dict)
    read: dict[str, list[str]] = field(default_factory=dict)

    def name(self) -> ModelName:
        """The record. Raises BadName where nothing was a family's name."""
        seen = {kind: tuple(dict.fromkeys(read)) for kind, read in self.read.items()}
        if self.family is None:
            stated = [*seen.get("quantization", ()), self.found.get("format")]
            if "part" in self.found:
                stated.append(f"part {self.found['part']} of {self.found['parts']}")
            only = f" It says only: {', '.join(filter(None, stated))}." if any(stated) else ""
            raise BadName(f"{_quoted(self.text)} names no model: no word in it is a family's.{only} Example: qwen3:8b")
        return ModelName(
            text=self.text, family=self.family, registry=self.registry, organisation=self.organisation, tag=self.tag,
            quantization="-".join(seen.get("quantization", ())) or None,
            variants=seen.get("variants", ()), notes=seen.get("notes", ()), unread=seen.get("unread", ()), **self.found,
        )  # fmt: skip

    def add(self, kind: str, word: str) -> None:
        """Keep a word of a kind."""
        self.read.setdefault(kind, []).append(word)

    def file(self, name: str) -> str:
        """The stem of a file's name, its format and part noted."""
        path = PurePosixPath(name)
        self.found["format"], stem = path.suffix[1:].lower(), path.stem
        if part := vocabulary.PART.search(stem):
            self.found["part"], self.found["parts"], stem = int(part[1]), int(part[2]), stem[: part.start()]
            if not 1 <= int(part[1]) <= int(part[2]):
                raise BadName(f"{_quoted(self.text)} cannot be: part {int(part[1])} of {int(part[2])}.")
        return self.made(stem)

    def made(self, stem: str) -> str:
        """``stem`` without who made the model, as re-uploaders write it: google_gemma-3-4b-it."""
        maker, _, rest = stem.partition("_")
        if not rest or not (
            maker.lower() in vocabulary.makers() or re.search(r"-(ai|org|labs?|research)$", maker.lower())
        ):
            return stem
        if self.organisation is None:
            self.organisation = maker
        else:
            self.add("notes", f"maker {maker}")
        return rest

    def stem(self, stem: str) -> None:
        """Read the part of a name that has neither place nor extension."""
        for quant in vocabulary.QUANT.findall(stem):
            self.add("quantization", "1.58BIT" if quant.startswith("1.58") else quant.upper())
        stem = re.sub(r"(?<=\d)_(?=\d)", ".", vocabulary.QUANT.sub("-", stem))
        for count in vocabulary.TOKENS.findall(stem):
            self.add("notes", f"{count.upper()} training tokens")
        stem = vocabulary.TOKENS.sub("-", stem)
        for date in vocabulary.DATE.finditer(stem):
            if len(date[1]) > 4 or (vocabulary.SHORT_DATE.fullmatch(date[1]) and date[1] != "1024" and date.start()):
                self.found.setdefault("date", date[1])
                stem = stem[: date.start()] + "-" + stem[date.end() :]
                break
        tokens = [token.lower() for token in re.split(r"[-_]+|(?<!\d)\.|\.(?!\d)", stem) if token]
        base = vocabulary.WORD.match(tokens[1]) if len(tokens) > 1 and tokens[0] in vocabulary.makers() else None
        if base and base[1] in vocabulary.families() and self.open_family:  # Meta-Llama-3.1: the maker, then the family
            maker = stem[: len(tokens.pop(0))]
            self.organisation = self.organisation or maker
        for before, token in zip(["", *tokens], tokens, strict=False):
            if self.size(token, before) or self.word(token):
                continue
            self.number(token, before)

    def size(self, token: str, before: str) -> bool:
        """Sizes: 7b, 135m, 7b1, 8x7b, a3b, e4b, 16e, and contexts: 128k, and 1m once a size is known."""
        glued = vocabulary.GLUED.fullmatch(token) if self.open_family and token[0] not in "aev" else None
        if glued and not (self.family is None and glued[1] in vocabulary.kinds()):
            self.family = f"{self.family}-{glued[1]}" if self.family else glued[1]
            token = glued[2]
        if size := vocabulary.SIZE.fullmatch(token):
            self.whole(token, size)
        elif experts := vocabulary.EXPERTS.fullmatch(token):
            self.found |= {"experts": int(experts[1]), "expert_b": _billions(experts[2], experts[3])}
        elif active := vocabulary.ACTIVE.fullmatch(token):
            self.found["active_b" if active[1] == "a" else "effective_b"] = _billions(active[2], active[3])
        elif re.fullmatch(r"\d{1,3}e", token) and vocabulary.SIZE.fullmatch(before) and "size_b" in self.found:
            self.found |= {"active_b": self.found.pop("size_b"), "experts": int(token[:-1])}  # Llama 4: 17B active
        elif re.fullmatch(r"\d{1,4}k", token) and before not in ("step", "steps"):
            if "size_b" not in self.found and "stories" in (self.family or ""):
                self.found["size_b"] = _billions(token[:-1], "k")
            else:
                self.found.setdefault("context", token)
        else:
            return False
        self.open_family = self.open_family and self.family is None
        return True

    def whole(self, token: str, size: re.Match[str]) -> None:
        """A size, or what looks like one after a size: a context, tokens of training."""
        known, unit = self.found.get("size_b"), size[2] or "b"
        value = _billions(size[1] or f"{size[3]}.{size[4]}", unit)
        if known is None:
            self.found["size_b"] = value
        elif unit == "m":
            self.found.setdefault("context", token)  # a million tokens, not of parameters
        elif unit == "t":
            self.add("notes", f"{token.upper()} training tokens")  # as in 2B-4T
        elif known < value and "moe" in f"{self.family} {self.read.get('variants')}" and "active_b" not in self.found:
            self.found |= {"size_b": value, "active_b": known}  # OLMoE-1B-7B: the active ones first
        elif value != known:
            raise BadName(f"{_quoted(self.text)} names two sizes, {known:g}B and {value:g}B. Which is it?")

    def word(self, token: str) -> bool:
        """Words: those of the trade, then the family's own, then another family's."""
        match = vocabulary.WORD.fullmatch(token)
        word, version = (match[1], match[2]) if match else (token, None)
        single = self.open_family and self.family is not None and re.fullmatch(r"[a-z]|[et]\d", token)
        if token in vocabulary.families():
            word, version = token, None
        kind = vocabulary.kinds().get(token) or (vocabulary.kinds().get(word) if match else None)
        if kind:
            self.trade(token if token in vocabulary.kinds() else word, kind)
            version = None if token in vocabulary.kinds() else version
            self.open_family = self.family is None
        elif not (
            match or single or token in vocabulary.families() or (self.family is None and vocabulary.ODD.match(token))
        ):
            return False
        elif self.open_family:
            self.family = f"{self.family}-{word}" if self.family else word
            self.open_family = version is None
        elif word in vocabulary.families() and "also" not in self.found:
            self.found["also"], version = word + (version or ""), None
        else:
            self.add("unread", token)
            version = None
        if version and self.found.setdefault("version", version) != version:
            self.add("unread", version)
        return True

    def trade(self, word: str, kind: str) -> None:
        """A word of the trade: a variant, a size word or a format."""
        if kind == "variant":
            self.add("variants", word)
        elif self.found.setdefault("size_word" if kind == "size" else "format", word) != word:
            self.add("variants" if kind == "format" else "unread", word)

    def number(self, token: str, before: str) -> None:
        """Versions: 3, v0.3, 3n, r1; a second number after a first is its decimal: claude-3-5, qwen2-5, v1-5."""
        if self.counted(token, before):
            return
        version, known = vocabulary.VERSION.fullmatch(token), self.found.get("version")
        follows = self.open_family and self.family is not None
        self.open_family = self.open_family and self.family is None
        if version and version[1] and before and self.found.get("also") == before:
            self.found["also"] = before + version[1]  # hermes-3-llama-3.1
        elif version and known is None and self.family is not None and (version[1] or follows):
            self.found["version"] = version[1] or version[2]
        elif re.fullmatch(r"\d", token) and known and before in (known, f"v{known}", f"{self.family}{known}"):
            self.found["version"] = f"{known}.{token}"
        elif version and known and version[1] and version[1].startswith(f"{known}."):
            self.found["version"] = version[1]  # internlm2:7b-chat-v2.5
        else:
            self.add("unread", token)

    def counted(self, token: str, before: str) -> bool:
        """Numbers of something else: pixels of a picture and of its patches, weights that share one scale."""
        side = vocabulary.PIXELS if vocabulary.PICTURES.search(f"{self.family} {before}") else r"(\d{3,4})px"
        if group := vocabulary.GROUP.fullmatch(token):
            self.add("notes", f"groups of {group[1] or group[2]}")
        elif pixels := re.fullmatch(side, token):
            self.add("notes", f"{pixels[1]} pixels")
        else:
            return False
        return True


def _billions(number: str, unit: str) -> float:
    return round(float(number) * {"k": 1e-6, "m": 0.001, "b": 1.0, "t": 1000.0}[unit], 9)


def _quoted(text: str) -> str:
    """``text`` in quotes, shortened, for an error's line."""
    return repr(text if len(text) <= 60 else text[:59] + "…")
