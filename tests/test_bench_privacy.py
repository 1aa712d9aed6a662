"""Nothing personal in a record: what is planted in every place that a record takes text from is not found again."""

from __future__ import annotations

import getpass
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench_samples import sample

from programs.bench import llamabench, merge, privacy, store
from programs.bench.fields import Record

HOME, HOST, USER = "/home/zaphod", "heart-of-gold", "zaphodbeeble"
KEY, OWN_KEY = "sk-0123456789abcdefABCDEF01", "correct-horse-battery"
PLANTED = {
    "the user's name": USER, "a home folder": f"{HOME}/models/x.gguf", "the host's name": HOST, "an address": "192.168.17.23",
    "a long address": "fe80::1ff:fe23:4567:890a", "a key": KEY, "this machine's key": OWN_KEY, "mail": "zaphod@example.org",
    "another's home": "C:\\Users\\Trillian\\x", "a server": "http://gpu-box.example.org:11434/api", "a card": "00:1b:44:11:3a:b7",
    "the user in the address": "https://zaphod:pw@gpu-box.example.org/v1",
}  # fmt: skip
SECRETS = ("zaphod", "heart-of-gold", "192.168.17.23", "fe80", KEY[:12], OWN_KEY, "Trillian", "gpu-box", "1b:44", "pw@")
VERSIONS = privacy._VERSIONS


@pytest.fixture(autouse=True)
def _this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(getpass, "getuser", lambda: USER)
    monkeypatch.setattr(Path, "home", lambda: Path(HOME))
    monkeypatch.setenv("SOME_API_KEY", OWN_KEY)


def takes(field: str) -> str:
    """What kind of text the field takes, by the schema of a record; "" for none."""
    kind = Record.model_json_schema()["properties"][field]
    kinds = next(each for each in kind.get("anyOf", [kind]) if each.get("type") != "null")
    if kinds.get("type") == "array":
        return "list" if kinds["items"].get("type") == "string" else ""
    plain = kinds.get("type") == "string" and "enum" not in kinds and kinds.get("format") != "date-time"
    return "checks" if field == "checks" else "text" if plain else ""


def texts() -> list[str]:
    """The fields of a record that hold text from elsewhere, by their type; none can be forgotten."""
    return [name for name in Record.model_fields if takes(name) and name not in privacy._OURS]


def planted(field: str, words: str) -> Record:
    value: object = {"list": (words,), "checks": {words: True}}.get(takes(field), words)
    known = dict(sample()) | {field: value}
    if field == "error":
        known["status"] = "timeout"
    made = Record.model_construct(**known)
    return Record(**known | {"config_hash": made.hash()})


def test_the_list_of_fields_is_not_empty_by_mistake() -> None:
    assert {"error", "model_name", "build_info", "cpu_model", "kernel", "driver", "gpus", "warnings", "checks"} <= set(
        texts()
    )


@pytest.mark.parametrize("field", texts())
def test_what_is_planted_does_not_reach_the_file(tmp_path: Path, field: str) -> None:
    for number, (what, words) in enumerate(PLANTED.items()):
        if field in VERSIONS and what == "an address":
            continue  # four numbers with dots are a version there
        try:
            record = planted(field, f"at {words} it was")
        except ValueError:
            continue  # the field takes no such text
        path = tmp_path / f"{number}.jsonl"
        store.append(path, record)
        written = path.read_text(encoding="utf-8")
        assert [secret for secret in SECRETS if secret.lower() in written.lower()] == [], what
        (again,) = store.read(path).records
        assert "it was" in str(getattr(again, field)), "the rest of the text stays"


@pytest.mark.parametrize(
    "kept",
    [
        "the model took 12:34:56 to load", "version 0.32.15 of llama.cpp b11434", "http://127.0.0.1:11434/api/chat", "1.2.3",
        "Install it with: ollama pull phi3. See https://ollama.com/download", "http://localhost:11434", "[::1]:11434",
        "Intel(R) Xeon(R) Processor", "hf.co/unsloth/Llama-3.2-1B-GGUF:Q4_K_M", "ratio 4::1", "x86_64-linux",
    ],
)  # fmt: skip
def test_what_is_not_personal_stays(kept: str) -> None:
    assert privacy.text(kept) == kept


def test_an_address_with_its_port_goes_and_the_public_registry_stays() -> None:
    said = 'Get "https://registry.ollama.ai/v2/": dial tcp: lookup registry.ollama.ai on 192.168.17.23:53: no such host'
    assert privacy.text(said) == said.replace("192.168.17.23", privacy.BLOT)


def test_a_clean_record_is_left_as_it_is() -> None:
    record = sample()
    assert privacy.cleaned(record) is record
    versions = sample(driver="560.35.3.0", kernel="6.1.0.4")
    assert privacy.cleaned(versions) is versions


def test_the_hash_follows_the_cleaned_set_up() -> None:
    record = privacy.cleaned(planted("model_name", f"{HOME}/phi3"))
    assert record.model_name == "~/phi3"
    assert record.config_hash == record.hash()


def test_a_folder_of_the_home_is_shown_without_it() -> None:
    assert privacy.text(f"no file {HOME}/models/a.gguf") == "no file ~/models/a.gguf"
    assert privacy.text(f"{HOME}brot is another") != "~brot is another"


def test_other_machines_texts_come_out_alike_here_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"{USER} at 10.1.2.3 with {KEY}"
    here = privacy.text(said, names=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "trillian")
    assert here == privacy.text(said, names=False) == f"{USER} at […] with […]"


def test_what_others_records_hold_is_blotted_when_they_are_merged(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / "a.jsonl"
    theirs.parent.mkdir()
    theirs.write_text(planted("error", f"from 192.168.17.23 with {KEY}").line() + "\n", encoding="utf-8")
    for _ in range(2):
        merge.merge([theirs.parent], tmp_path / "here")
    (record,) = store.load(tmp_path / "here").records
    assert record.error == "from […] with […]"


def test_reasons_of_marks_are_cleaned(tmp_path: Path) -> None:
    store.append(tmp_path / "a.jsonl", sample())
    assert store.mark(sample().run_id, f"{USER} slept on {HOST}", folder=tmp_path).reason == "[…] slept on […]"


def test_llama_bench_tells_the_folder_of_the_model_and_we_do_not(tmp_path: Path) -> None:
    fixture = Path(__file__).parent / "fixtures" / "llama-bench" / "smollm2.json"
    rows = json.loads(fixture.read_text(encoding="utf-8"))
    for row, folder in zip(rows, (f"{HOME}/m/", "C:\\Users\\Trillian\\m\\", "/srv/zaphod/", "", "", ""), strict=True):
        row["model_filename"] = folder + row["model_filename"]
        row["cpu_info"], row["gpu_info"], row["devices"] = f"CPU of {USER}", f"GPU of {HOST}", KEY
    (tmp_path / "lb.json").write_text(json.dumps(rows), encoding="utf-8")
    merge.add(llamabench.records(tmp_path / "lb.json", "lab-1"), tmp_path / "lb.json", tmp_path / "here")
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "here").rglob("*.jsonl"))
    assert "SmolLM2-135M-Instruct.Q4_1" in written
    assert [secret for secret in SECRETS if secret.lower() in written.lower()] == []
    assert datetime.now(UTC) > store.load(tmp_path / "here").records[0].started_at
