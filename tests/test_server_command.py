"""The command ``workbook serve``: its address, its key, its end; and ``workbook.endpoint``, which starts it for a page."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import httpx
import ollama
import psutil
import pytest
from servers import NAME, free_port, workbook_serving

from programs.serve import serve
from programs.serve.serve import LOOPBACK, ServerSettings, listening
from workbook import endpoint
from workbook.errors import BadOption, DamagedModel, ServerNotFound

SHORT = {"num_predict": 1, "num_thread": 1, "temperature": 0}


def test_another_port_where_the_usual_one_is_taken_and_hosts_that_are_not_here(monkeypatch):
    with listening(LOOPBACK, None) as first:
        taken = first.getsockname()[1]
        monkeypatch.setattr(serve, "PORT", taken)
        with listening(LOOPBACK, None) as second:
            assert second.getsockname()[1] not in (taken, 0)
        with pytest.raises(BadOption, match=f"port {taken}"), listening(LOOPBACK, taken):
            pass
    for host in ("no.such.host.invalid", "8.8.8.8", "a" * 300):
        with pytest.raises(BadOption, match="Leave --"), listening(host, 0):
            pass


def test_what_cannot_be_is_one_line(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"nothing of it")
    for settings, error, says in (
        *((ServerSettings(port=0, models=(model,)), BadOption, "NAME=FILE") for model in ("x", "=y", "x=", "")),
        *((ServerSettings(port=0, key=key), BadOption, "key") for key in ("with space", "é", "a" * 513, "line\nbreak")),
        (ServerSettings(port=0, models=(f"x={tmp_path / 'x.gguf'}",)), DamagedModel, r"x\.gguf"),
    ):
        with pytest.raises(error, match=says) as caught:
            serve.serve(settings)
        assert "\n" not in str(caught.value)


def test_loopback_needs_no_key_and_ctrl_c_ends_it_with_its_children(tmp_path):
    with workbook_serving(tmp_path) as server:
        assert ollama.Client(server.url).generate(NAME, "hi", options=SHORT).eval_count == 1
        children = server.children()
        assert children
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        _gone, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
        said = server.log.read_text()
    assert "Traceback" not in said
    assert "stand-in for Ollama" in said
    assert "https://ollama.com/download" in said
    assert "key" not in said


@pytest.mark.parametrize("given", ["planted-key-1", ""])
def test_other_machines_need_a_key_on_every_route(tmp_path, given):
    """One that is given is never said; one that is made is said once."""
    with workbook_serving(tmp_path, "--host", "0.0.0.0", WORKBOOK_SERVE_KEY=given) as server:
        said = server.log.read_text()
        made = re.search(r"it demands a key: (\S+)", said)
        key = given or (made[1] if made else "")
        assert len(key) > 10
        for wrong in (None, "", "Bearer", f"Bearer {key[:-1]}", f"Basic {key}", f"Bearer {key.swapcase()}"):
            headers = {} if wrong is None else {"Authorization": wrong}
            for method, path in (
                ("GET", "/"),
                ("GET", "/api/tags"),
                ("GET", "/nope"),
                ("POST", "/v1/chat/completions"),
            ):
                answer = httpx.request(method, server.url + path, headers=headers)
                assert answer.status_code == 401, (wrong, path)
                assert key not in answer.text
        assert httpx.get(server.url + "/api/tags", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert server.log.read_text().count(key) == (0 if given else 1)


@pytest.fixture
def no_ollama(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free_port()}")
    endpoint.stop()
    yield
    endpoint.stop()


def test_the_endpoint_of_a_page_is_the_stand_in_where_no_ollama_answers(no_ollama, capsys, monkeypatch):
    with endpoint.ready() as url:
        assert "stand-in" in capsys.readouterr().out
        found = endpoint.start(quiet=True)
        assert (found.url, found.kind, found.openai_url) == (url, "stand-in", f"{url}/v1")
        assert ollama.Client(url).generate(NAME, "hi", options=SHORT).eval_count == 1
        if os.name == "posix":
            process = endpoint._child().process
            assert os.getpgid(process.pid) != os.getpgid(0), "where Jupyter sends the signal that interrupts a kernel"
        # One that answers is taken, past any proxy.
        monkeypatch.setattr(endpoint, "_PROBE_S", 30)  # a busy machine is no fault of the endpoint's
        monkeypatch.setenv("OLLAMA_HOST", url)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        assert endpoint.start().url == url
        assert "it answers" in capsys.readouterr().out
    with pytest.raises(urllib.error.URLError):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


def test_the_stand_in_ends_with_the_process_that_started_it(no_ollama):
    code = "from workbook import endpoint; print(endpoint.start(quiet=True).url, flush=True); input()"
    page = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = page.stdout.readline().strip()
    children = psutil.Process(page.pid).children(recursive=True)
    assert httpx.get(url, trust_env=False).status_code == 200
    page.kill()  # as a kernel is ended: nothing of its own runs
    page.communicate()
    _gone, alive = psutil.wait_procs(children, timeout=30)
    assert children
    assert not alive


def test_a_stand_in_that_does_not_start_says_what_it_said(no_ollama, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.name == "posix" else sys.executable)
    with pytest.raises(ServerNotFound, match="workbook serve"):
        endpoint.start()
