"""The rows of data about settings, against the servers: openai_ignored.csv by page 22's own trials, sampling_defaults.csv."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import nbformat
import openai
import pytest
from servers import NAME, llama_server_binary, llama_serving

from workbook import facts, paths

PAGE = paths.root() / "notebooks" / "2_apis" / "22_openai_compatible.ipynb"
FLAGS = {
    "temperature": "--temp", "top_k": "--top-k", "top_p": "--top-p", "min_p": "--min-p",
    "repeat_penalty": "--repeat-penalty", "max_tokens": "--predict", "n_ctx": "--ctx-size", "seed": "--seed",
}  # fmt: skip
WORDS = {"no limit": "-1", "as trained": "0", "random": "-1"}
CELLS = {cell.id: cell.source for cell in nbformat.read(PAGE, 4).cells if cell.cell_type == "code"}


def probed(url: str, key: str) -> dict[str, str]:
    bird = (paths.data() / "prompts" / "oiseau-bleu.txt").read_text(encoding="utf-8").strip()
    space: dict[str, Any] = {
        "os": os, "json": json, "time": time, "openai": openai, "OpenAI": openai.OpenAI, "dataclass": dataclass,
        "field": field, "bird": bird, "salut": [], "model": NAME, "here": SimpleNamespace(openai_url=f"{url}/v1"),
    }  # fmt: skip
    for name in ("places", "ask", "trials", "settings", "trials-list", "probe"):
        exec(compile(CELLS[name], name, "exec", dont_inherit=True), space)
    found: dict[str, str] = space["probe"](space["Place"](f"{url}/v1", key, NAME))
    return found


def stored(server: str) -> dict[str, str]:
    rows = facts.table("openai_ignored").query("server == @server and how == 'measured'")
    return dict(zip(rows["setting"], rows["outcome"], strict=True))


@pytest.mark.parametrize(("fixture", "name"), [("ollama", "Ollama"), ("ours", "workbook serve")])
def test_the_rows_of_ollama_and_of_the_stand_in(fixture, name, request):
    assert probed(request.getfixturevalue(fixture).url, "none") == stored(name)


def test_the_rows_of_llama_server(llama_server_there, tmp_path):
    with llama_serving(tmp_path, key="for-this-test") as server:
        assert probed(server.url, "for-this-test") == stored("llama-server")


def test_llama_cpp_says_so_itself(llama_server_there: None) -> None:
    done = subprocess.run([str(llama_server_binary()), "--help"], capture_output=True, text=True, timeout=60)
    rows = facts.table("sampling_defaults").query("program == 'llama.cpp'").set_index("setting")["value"]
    for setting, flag in FLAGS.items():
        told = re.search(rf"^(?:-.*)?{flag}[ ,].*?\(default: (-?[\d.]+)", done.stdout, flags=re.M)
        assert told, setting
        assert float(told[1]) == float(WORDS.get(rows[setting], rows[setting])), setting
