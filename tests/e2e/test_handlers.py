"""Every built-in handler: what it gives, and how it fails."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from retire_cluster.tasks import TaskResult

from harness.cluster import Cluster, Worker

OPEN = {"required_tags": ["open"]}  # a worker with all types and loopback allowed
PLAIN = {"required_tags": ["plain"]}  # a worker as it is without flags


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster]) -> Cluster:
    cluster = clusters("main")
    everything = (
        "--allow",
        "python_eval",
        "--allow",
        "command",
        "--http-allow",
        "127.0.0.0/8",
        "--tag",
        "open",
    )
    open_worker = cluster.start_worker("open", *everything, "--role", "compute", slots=4)
    plain = cluster.start_worker("plain", "--tag", "plain", slots=2)
    cluster.joined(open_worker, plain)
    return cluster


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
        elif self.path == "/file":
            self._answer(200, b"what the file holds")
        else:
            self._answer(404, b"no such file")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, self.headers["Content-Type"].encode() + b" " + body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Kind", "a file server")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a file server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def untrusted_url() -> Iterator[str]:
    """A server with TLS whose certificate nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "data" / "untrusted.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}/file"
    server.shutdown()
    server.server_close()


def succeeded(result: TaskResult) -> Any:
    assert result.status.value == "success", f"{result.status}: {result.error_message}"
    assert result.error_message is None
    return result.result_data


def refused_at_once(cluster: Cluster, result: TaskResult, *words: str) -> None:
    """Failed in the first attempt, although more are allowed; the message has these words."""
    assert result.status.value == "failed"
    for word in words:
        assert word in (result.error_message or ""), result.error_message
    assert "\n" not in result.error_message.strip()
    task = cluster.client.get_task(result.task_id)
    assert task.retry_count == 0
    assert len(task.error_history) == 1


# -- echo


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        1.5,
        "",
        "Grüße, 世界 🌍\u0000\n",
        [],
        {},
        {"message": "hi"},
        [1, [2, [3, {"deep": [None]}]]],
        b"bytes \x00\xff",
        "x" * 100_000,
        list(range(10_000)),
    ],
    ids=lambda payload: repr(payload)[:24],
)
def test_echo_gives_back_what_it_gets(cluster: Cluster, payload: Any) -> None:
    assert succeeded(cluster.run("echo", payload, **OPEN)) == {"echo": payload}


def test_a_result_says_where_and_when_it_was_made(cluster: Cluster) -> None:
    result = cluster.run("echo", "hi", **OPEN)
    assert result.worker_device_id == "open"
    assert result.started_at is not None and result.started_at <= result.completed_at
    assert 0 <= result.execution_time_seconds < 10
    task = cluster.client.get_task(result.task_id)
    assert task.created_at <= task.assigned_at <= task.completed_at
    assert task.assigned_device_id == "open"


# -- sleep


def test_sleep_sleeps(cluster: Cluster) -> None:
    result = cluster.run("sleep", {"duration": 0.25}, **OPEN)
    assert succeeded(result) == {"slept_for": 0.25}
    assert result.execution_time_seconds >= 0.25


@pytest.mark.parametrize(
    "payload, words",
    [
        ({"duration": -1}, ["duration"]),
        ({"duration": "long"}, ["duration", "number"]),
        ({"duration": 1e300}, ["duration"]),
        ({}, ["duration"]),
        ({"duration": 0, "unit": "s"}, ["unit"]),
        (None, ["payload"]),
        ([1], ["payload"]),
    ],
)
def test_sleep_refuses(cluster: Cluster, payload: Any, words: list[str]) -> None:
    refused_at_once(cluster, cluster.run("sleep", payload, max_retries=3, **OPEN), *words)


# -- system_info


def test_system_info_tells_about_the_device(cluster: Cluster) -> None:
    info = succeeded(cluster.run("system_info", {}, **OPEN))
    assert info["device_id"] == "open"
    assert info["role"] == "compute"
    assert info["platform"] == "linux"
    assert info["slots"] == 4
    assert "echo" in info["handlers"]
    assert info["cpu_count"] >= 1 and info["memory_total_gb"] > 0 and info["storage_total_gb"] > 0
    assert 0 < info["memory_free_gb"] <= info["memory_total_gb"]
    assert 0 <= info["storage_free_gb"]
    assert len(info["load_average"]) == 3
    assert info["uptime_seconds"] > 0
    assert info["os"]["name"] and info["os"]["kernel"] and info["os"]["hostname"]


def test_system_info_refuses_unknown_fields(cluster: Cluster) -> None:
    refused_at_once(cluster, cluster.run("system_info", {"verbose": True}, **OPEN), "verbose")


# -- python_eval


@pytest.mark.parametrize(
    "expression, value",
    [
        ("2 + 2", 4),
        ("sum(range(1000000))", 499999500000),
        ("[x * x for x in range(5) if x % 2]", [1, 9]),
        ("{'a': 1, 'b': (1, 2)}", {"a": 1, "b": [1, 2]}),
        ("sorted({3, 1, 2}, reverse=True)", [3, 2, 1]),
        ("'ü' * 3 if 1 < 2 else None", "üüü"),
        ("None", None),
    ],
)
def test_python_eval_evaluates(cluster: Cluster, expression: str, value: Any) -> None:
    result = cluster.run("python_eval", {"expression": expression}, **OPEN)
    assert succeeded(result) == {"result": value, "expression": expression}


@pytest.mark.parametrize(
    "payload, words",
    [
        ({"expression": "().__class__"}, ["refused: "]),
        ({"expression": "open('/etc/passwd')"}, ["refused: "]),
        ({"expression": "__import__('os')"}, ["refused: "]),
        ({"expression": "(lambda: 1)()"}, ["refused: "]),
        ({"expression": "f'{1}'"}, ["refused: "]),
        ({"expression": "1 +"}, []),
        ({"expression": "1 / 0"}, ["ZeroDivisionError"]),
        ({"expression": "[1][7]"}, ["IndexError"]),
        ({"expression": "2 ** 64"}, ["64 bit"]),
        ({"expression": 7}, ["expression"]),
        ({}, ["expression"]),
        ({"expression": "1", "globals": {}}, ["globals"]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_python_eval_refuses(cluster: Cluster, payload: Any, words: list[str]) -> None:
    refused_at_once(cluster, cluster.run("python_eval", payload, **OPEN), *words)


@pytest.mark.parametrize(
    "expression", ["9 ** 9 ** 9", "'x' * 10 ** 12", "[[0] * 10**6 for x in range(10**6)]"]
)
def test_python_eval_is_bounded(cluster: Cluster, expression: str) -> None:
    """Whatever it asks for, it ends, and the worker lives."""
    result = cluster.run("python_eval", {"expression": expression}, max_retries=0, timeout_seconds=30, **OPEN)
    assert result.status.value == "failed"
    assert succeeded(cluster.run("echo", 1, **OPEN)) == {"echo": 1}


def test_python_eval_is_bounded_in_time(cluster: Cluster) -> None:
    """What nothing else bounds: it allocates nothing and goes on."""
    expression = "all(1 for x in range(10**7) for y in range(10**7))"
    result = cluster.run(
        "python_eval", {"expression": expression}, max_retries=0, timeout_seconds=120, **OPEN
    )
    assert result.status.value == "failed"
    # Whichever comes first: on a busy machine so much processor time may take longer than the other allows.
    assert ("more than 10 s of processor time" in result.error_message) or (
        "timed out after 30 s" in result.error_message
    ), result.error_message
    assert succeeded(cluster.run("echo", 1, **OPEN)) == {"echo": 1}


# -- http_request


def test_http_request_fetches(cluster: Cluster, url: str) -> None:
    data = succeeded(cluster.run("http_request", {"url": f"{url}/file"}, **OPEN))
    assert data["status_code"] == 200
    assert data["content"] == "what the file holds"
    assert data["headers"]["x-kind"] == "a file server"
    assert data["url"] == f"{url}/file"


def test_http_request_takes_any_status_as_success(cluster: Cluster, url: str) -> None:
    assert succeeded(cluster.run("http_request", {"url": f"{url}/none"}, **OPEN))["status_code"] == 404


def test_http_request_posts_json(cluster: Cluster, url: str) -> None:
    payload = {
        "url": f"{url}/in",
        "method": "POST",
        "json": {"a": [1]},
        "timeout": 30,
        "headers": {"X-A": "b"},
    }
    data = succeeded(cluster.run("http_request", payload, **OPEN))
    assert data["status_code"] == 201
    assert data["content"].replace(" ", "") == 'application/json{"a":[1]}'


def test_http_request_follows_redirects_if_it_may(cluster: Cluster, url: str) -> None:
    assert succeeded(cluster.run("http_request", {"url": f"{url}/moved"}, **OPEN))["url"] == f"{url}/file"
    payload = {"url": f"{url}/moved", "follow_redirects": False}
    assert succeeded(cluster.run("http_request", payload, **OPEN))["status_code"] == 302


def test_http_request_does_not_follow_to_where_it_may_not_go(cluster: Cluster, url: str) -> None:
    result = cluster.run("http_request", {"url": f"{url}/away"}, **OPEN)
    refused_at_once(cluster, result, "169.254.169.254")
    assert result.error_message.startswith("refused: ")


def test_http_request_refuses_loopback_unless_allowed(cluster: Cluster, url: str) -> None:
    port = url.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"):
        result = cluster.run("http_request", {"url": f"http://{host}:{port}/file"}, **PLAIN)
        refused_at_once(cluster, result)
        assert result.error_message.startswith("refused: "), result.error_message


@pytest.mark.parametrize(
    "payload, words",
    [
        ({"url": "file:///etc/passwd"}, ["refused: "]),
        ({"url": "gopher://127.0.0.1/"}, ["refused: "]),
        ({"url": 7}, ["url"]),
        ({}, ["url"]),
        ({"url": "http://127.0.0.1/", "method": "CONNECT"}, ["method"]),
        ({"url": "http://127.0.0.1/", "timeout": -1}, ["timeout"]),
        ({"url": "http://127.0.0.1/", "body": "x", "json": 1}, ["json"]),
        ({"url": "http://127.0.0.1/", "verify": False}, ["verify"]),
    ],
    ids=lambda value: repr(value)[:48],
)
def test_http_request_refuses(cluster: Cluster, payload: Any, words: list[str]) -> None:
    refused_at_once(cluster, cluster.run("http_request", payload, **OPEN), *words)


def test_http_request_trusts_no_certificate_that_nobody_signed(cluster: Cluster, untrusted_url: str) -> None:
    result = cluster.run("http_request", {"url": untrusted_url}, **OPEN)
    refused_at_once(cluster, result, "certificate")


def test_http_request_not_reached_is_repeated(cluster: Cluster) -> None:
    result = cluster.run("http_request", {"url": "http://127.0.0.1:1/"}, max_retries=1, **OPEN)
    assert result.status.value == "failed"
    assert len(cluster.client.get_task(result.task_id).error_history) == 2


# -- command


def test_command_runs_a_line_of_the_shell(cluster: Cluster) -> None:
    data = succeeded(cluster.run("command", {"command": "echo out; echo err >&2; exit 3"}, **OPEN))
    assert (data["return_code"], data["stdout"], data["stderr"]) == (3, "out\n", "err\n")
    assert data["command"] == "echo out; echo err >&2; exit 3"
    assert data["truncated"] is False


def test_command_runs_a_program_without_a_shell(cluster: Cluster) -> None:
    data = succeeded(cluster.run("command", {"command": ["printf", "%s|", "a b", "$HOME", "*"]}, **OPEN))
    assert data["stdout"] == "a b|$HOME|*|"


def test_command_takes_cwd_env_and_stdin(cluster: Cluster) -> None:
    payload = {
        "command": 'pwd; echo "$GREETING"; cat',
        "cwd": "/usr/lib",
        "env": {"GREETING": "hello"},
        "stdin": "what comes in",
    }
    data = succeeded(cluster.run("command", payload, **OPEN))
    assert data["stdout"] == "/usr/lib\nhello\nwhat comes in"


def test_command_lets_its_programs_make_temporary_files(cluster: Cluster) -> None:
    """In the sandbox, where /tmp is not theirs; and nothing of it is left."""
    line = "file=$(mktemp) && seq 1 300000 | sort -r -S 100k | head -n 1 > $file && cat $file && echo $file"
    data = succeeded(cluster.run("command", {"command": line}, **OPEN))
    assert data["return_code"] == 0, data
    last, file = data["stdout"].split()
    assert last == "99999"
    assert not Path(file).exists()


def test_command_keeps_the_beginning_and_the_end_of_much_output(cluster: Cluster) -> None:
    data = succeeded(cluster.run("command", {"command": "seq 1 400000"}, **OPEN))
    assert data["truncated"] is True
    assert data["stdout"].startswith("1\n2\n") and data["stdout"].endswith("400000\n")
    assert len(data["stdout"]) < 1_200_000


def test_command_with_check_fails_and_is_repeated(cluster: Cluster) -> None:
    payload = {"command": "echo why >&2; exit 7", "check": True}
    result = cluster.run("command", payload, max_retries=1, **OPEN)
    assert result.status.value == "failed"
    assert "7" in result.error_message
    assert len(cluster.client.get_task(result.task_id).error_history) == 2


def test_command_has_a_timeout_of_its_own(cluster: Cluster) -> None:
    result = cluster.run("command", {"command": "sleep 600", "timeout": 0.3}, max_retries=0, **OPEN)
    assert result.status.value == "failed"
    assert "timed out after 0.3 s" in result.error_message


@pytest.mark.parametrize(
    "payload, words",
    [
        ({"command": ["no-such-program-anywhere"]}, ["no-such-program-anywhere"]),
        ({"command": "true", "cwd": "/no/such/directory"}, ["/no/such/directory"]),
        ({"command": []}, ["command"]),
        ({"command": 7}, ["command"]),
        ({}, ["command"]),
        ({"command": "true", "env": {"A": 1}}, ["env"]),
        ({"command": "true", "timeout": "1"}, ["timeout"]),
        ({"command": "true", "shell": True}, ["shell"]),
    ],
    ids=lambda value: repr(value)[:48],
)
def test_command_refuses(cluster: Cluster, payload: Any, words: list[str]) -> None:
    refused_at_once(cluster, cluster.run("command", payload, **OPEN), *words)


def test_command_leaves_nothing_that_fled_from_its_group(cluster: Cluster) -> None:
    # setsid makes it a session of its own, under the number that it has already.
    line = (
        "setsid sleep 1000 > /dev/null 2>&1 & pid=$!; "
        "until test \"$(cut -d ' ' -f 6 /proc/$pid/stat)\" = $pid; do sleep 0.02; done; echo $pid"
    )
    data = succeeded(cluster.run("command", {"command": line}, **OPEN))
    assert data["return_code"] == 0, data
    assert not Path(f"/proc/{data['stdout'].strip()}/stat").exists()


def test_system_info_tells_the_battery_and_the_models(cluster: Cluster) -> None:
    data = succeeded(cluster.run("system_info", {}, **OPEN))
    assert {"battery", "temperature_celsius", "cpu_model", "machine_model"} <= set(data)
    if data["battery"] is not None:
        assert set(data["battery"]) == {"percent", "on_battery", "charging", "temperature_celsius"}


def test_the_workers_lived_through_all_this(cluster: Cluster) -> None:
    assert all(isinstance(worker, Worker) and worker.alive for worker in cluster.workers)
    assert cluster.main.alive
