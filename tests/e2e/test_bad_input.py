"""Flags, files, variables and directories that are wrong: one line, the right exit status, nothing hung."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from harness.cluster import Cluster, Main
from harness.process import Ran

Program = Callable[..., Ran]
MAIN = "retire-cluster-main"
WORKER = "retire-cluster-worker"
PROGRAMS = [MAIN, WORKER, "retire-cluster-submit", "retire-cluster-status", "retire-cluster"]


def refused(ran: Ran, status: int, *words: str) -> None:
    line = ran.error_line()
    assert ran.status == status, (ran.status, line)
    assert ran.stdout == ""
    assert ran.seconds < 30
    for word in words:
        assert word in line, line


# -- flags

BAD_FLAGS = [
    (MAIN, ["--nope"], ["--nope"]),
    (MAIN, ["more"], ["more"]),
    (MAIN, ["--port", "x"], ["--port", "x"]),
    (MAIN, ["--port", "-1"], ["--port", "-1"]),
    (MAIN, ["--port", "65536"], ["--port", "65536"]),
    (MAIN, ["--port", "99999999999999999999"], ["--port"]),
    (MAIN, ["--port"], ["--port"]),
    (MAIN, ["--heartbeat-interval", "0"], ["--heartbeat-interval", "0"]),
    (MAIN, ["--heartbeat-interval", "-1"], ["--heartbeat-interval", "-1"]),
    (MAIN, ["--lease", "nan"], ["--lease", "nan"]),
    (MAIN, ["--lease", "1e300"], ["--lease", "1e300"]),
    (MAIN, ["--store", "mysql://x"], ["--store", "mysql://x"]),
    (MAIN, ["--log-level", "loud"], ["--log-level", "loud", "debug"]),
    (MAIN, ["--log-format", "xml"], ["--log-format", "xml"]),
    (MAIN, ["--init-config"], ["--config"]),
    (WORKER, ["--nope"], ["--nope"]),
    (WORKER, ["--join", "host:port"], ["--join", "host:port"]),
    (WORKER, ["--join", ""], ["--join"]),
    (WORKER, ["--role", "king"], ["--role", "king", "compute"]),
    (WORKER, ["--slots", "0"], ["--slots", "0"]),
    (WORKER, ["--slots", "4097"], ["--slots", "4097"]),
    (WORKER, ["--slots", "two"], ["--slots", "two"]),
    (WORKER, ["--cpu-count", "-4"], ["--cpu-count", "-4"]),
    (WORKER, ["--memory-gb", "-1"], ["--memory-gb", "-1"]),
    (WORKER, ["--memory-gb", "inf"], ["--memory-gb", "inf"]),
    (WORKER, ["--storage-gb", "1e10"], ["--storage-gb"]),
    (WORKER, ["--device-id", "a b"], ["--device-id", "a b"]),
    (WORKER, ["--device-id", "x" * 129], ["--device-id"]),
    (WORKER, ["--tag", ""], ["--tag"]),
    (WORKER, ["--tag", "x" * 65], ["--tag"]),
    (WORKER, ["--allow", "No Type"], ["--allow", "No Type"]),
    (WORKER, ["--http-allow", "10.0.0.0/33"], ["--http-allow", "10.0.0.0/33"]),
    (WORKER, ["--http-allow", "example.org"], ["--http-allow", "example.org"]),
    (WORKER, ["--sandbox", "iron"], ["--sandbox", "iron", "strict"]),
    (WORKER, ["--drain-timeout", "-1"], ["--drain-timeout", "-1"]),
]


@pytest.mark.parametrize(
    "name, flags, words", BAD_FLAGS, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else v
)
def test_2_for_a_flag_that_is_wrong(program: Program, name: str, flags: list[str], words: list[str]) -> None:
    refused(program(name, *flags), 2, *words)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--offline-after", "1", "--heartbeat-interval", "2"], ["--offline-after", "--heartbeat-interval"]),
        (["--offline-after", "20", "--lease", "10"], ["--lease", "--offline-after"]),
        (["--store", "postgresql://localhost/x"], ["postgresql"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_settings_that_do_not_fit_together(program: Program, flags: list[str], words: list[str]) -> None:
    ran = program(MAIN, "--host", "127.0.0.1", "--port", "0", *flags)
    assert ran.status in (2, 3)
    refused(ran, ran.status, *words)


# -- places


def test_a_port_in_use(program: Program, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ran = program(MAIN, "--host", "127.0.0.1", "--port", port, "--data-dir", str(tmp_path / "data"))
    assert ran.status in (1, 3)
    refused(ran, ran.status, port, "in use")


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "256.1.1.1", "", "::g"])
def test_a_host_that_is_not_ours(program: Program, tmp_path: Path, host: str) -> None:
    ran = program(MAIN, "--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert ran.status in (1, 2, 3)
    refused(ran, ran.status, host or "--host")


@pytest.mark.parametrize("name", [MAIN, WORKER])
@pytest.mark.parametrize("place", ["/proc/nothing", "/dev/null", "/dev/null/below"])
def test_a_data_directory_that_cannot_be_written(program: Program, name: str, place: str) -> None:
    flags = ["--port", "0", "--host", "127.0.0.1"] if name == MAIN else ["--no-internet"]
    refused(program(name, *flags, "--data-dir", place), 3, place, "--data-dir")


def test_a_plugin_directory_that_is_not_there(program: Program, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    flags = ["--no-internet", "--data-dir", str(tmp_path / "data")]
    refused(program(WORKER, *flags, "--plugin-dir", missing), 3, "--plugin-dir", missing)


def test_an_epoch_file_that_holds_no_number(program: Program, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "epoch").write_text("seven\n")
    ran = program(MAIN, "--host", "127.0.0.1", "--port", "0", "--data-dir", str(tmp_path / "data"))
    refused(ran, 3, "epoch")


# -- the configuration file


@pytest.mark.parametrize(
    "name", [MAIN, WORKER, "retire-cluster-submit", "retire-cluster-status", "retire-cluster"]
)
@pytest.mark.parametrize(
    "text, words",
    [
        ("this is not TOML", ["1"]),
        ("log-level = 7\n", ["log-level"]),
        ('log-level = "loud"\n', ["log-level", "loud"]),
        ('log-level = "info"\n\nno-such-key = 1\n', ["no-such-key"]),
        ('connect-timeout = "soon"\n', ["connect-timeout"]),
        ("connect-timeout = -1\n", ["connect-timeout", "-1"]),
        ("connect-timeout = 1\nconnect-timeout = 2\n", ["connect-timeout"]),
        ("\x00\xff", []),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, str) else "",
)
def test_3_for_a_file_that_is_wrong(
    program: Program, tmp_path: Path, name: str, text: str, words: list[str]
) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("latin-1"))
    arguments = {"retire-cluster": ["queue", "stats"], "retire-cluster-submit": ["echo"]}.get(name, [])
    refused(program(name, *arguments, "--config", str(path)), 3, str(path), *words)


@pytest.mark.parametrize("name", [MAIN, WORKER, "retire-cluster-status"])
@pytest.mark.parametrize("place", ["none.toml", "."])
def test_3_for_a_file_that_cannot_be_read(program: Program, tmp_path: Path, name: str, place: str) -> None:
    refused(program(name, "--config", str(tmp_path / place)), 3, str(tmp_path))


def test_a_file_of_settings_is_used_and_a_flag_beats_it(tmp_path: Path) -> None:
    path = tmp_path / "main.toml"
    path.write_text('log-level = "error"\nlog-format = "json"\nheartbeat-interval = 0.5\n')
    main = Main(tmp_path / "main", "--config", str(path), "--log-level", "info")
    assert main.stop() == 0
    lines = [json.loads(line) for line in main.stderr.splitlines()]
    assert any("tasks are kept in" in json.dumps(line) for line in lines)


def test_init_config_writes_a_file_that_is_taken_and_never_over_one(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    assert program(MAIN, "--config", str(path), "--init-config").status == 0
    text = path.read_text()
    assert "heartbeat-interval" in text and "#" in text
    refused(program(MAIN, "--config", str(path), "--init-config"), 3, str(path))
    assert path.read_text() == text
    main = Main(tmp_path / "main", "--config", str(path))
    assert main.stop() == 0


# -- the environment


@pytest.mark.parametrize(
    "name, variable, value",
    [
        (MAIN, "RETIRE_CLUSTER_PORT", "many"),
        (MAIN, "RETIRE_CLUSTER_PORT", "70000"),
        (MAIN, "RETIRE_CLUSTER_LOG_LEVEL", "loud"),
        (MAIN, "RETIRE_CLUSTER_LEASE", "-3"),
        (WORKER, "RETIRE_CLUSTER_SLOTS", "-1"),
        (WORKER, "RETIRE_CLUSTER_ADDRESS", "host:"),
        (WORKER, "RETIRE_CLUSTER_JOIN", "a:b:c"),
        (WORKER, "RETIRE_CLUSTER_JOIN", "host:0x50"),
        (WORKER, "RETIRE_CLUSTER_GPU", "maybe"),
        (WORKER, "RETIRE_CLUSTER_CONFIG", "/no/such/file"),
        ("retire-cluster-status", "RETIRE_CLUSTER_ADDRESS", ":"),
        ("retire-cluster-submit", "RETIRE_CLUSTER_CONNECT_TIMEOUT", "x"),
    ],
)
def test_3_for_a_variable_that_is_wrong(program: Program, name: str, variable: str, value: str) -> None:
    arguments = ["echo"] if name.endswith("submit") else []
    words = [value] if variable.endswith("_CONFIG") else [variable, value]
    refused(program(name, *arguments, deadline=10, **{variable: value}), 3, *words)


# -- main that is no main


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Something listens there and says nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def http_port() -> Iterator[int]:
    """Something that speaks another protocol."""

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("kind", ["silent_port", "http_port"])
def test_4_for_what_listens_and_is_no_main(program: Program, request: Any, kind: str) -> None:
    address = f"127.0.0.1:{request.getfixturevalue(kind)}"
    timeout = ["--connect-timeout", "0.5"]
    refused(program("retire-cluster-status", address, *timeout), 4, address)
    refused(program("retire-cluster-submit", "echo", "--to", address, *timeout), 4, address)
    ran = program(WORKER, "--test", address, "--no-internet", *timeout)
    assert ran.status == 4 and address in ran.error_line()


def test_a_name_that_cannot_be_found(program: Program) -> None:
    ran = program("retire-cluster-status", "no.such.host.invalid:8080", "--connect-timeout", "0.5")
    refused(ran, 4, "no.such.host.invalid")


def test_a_worker_tries_its_connection(program: Program, clusters: Callable[..., Cluster]) -> None:
    cluster = clusters("test")
    ran = program(
        WORKER, "--test", cluster.address, "--json", "--no-internet", "--memory-gb", "3", "--tag", "t"
    )
    assert (ran.status, ran.stderr) == (0, "")
    device = json.loads(ran.stdout)
    assert device["memory_total_gb"] == 3 and "t" in device["tags"] and "echo" in device["handlers"]
    assert cluster.client.get_devices() == [], "it does not join"
