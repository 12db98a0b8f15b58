"""http_request and names that lie: our own name server's answers change, or are good and bad at once."""

from __future__ import annotations

import http.server
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from retire_cluster.tasks import TaskResult

from harness.cluster import Cluster

NAME_SERVER = "127.77.0.1"  # of its own, so that nobody's port 53 is in the way
GOOD, BAD = "127.0.0.1", "127.0.0.2"  # by --http-allow of the worker

# A mount namespace of its own, in which this is the system's list of name servers.
ENTER = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


def may_mount() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not may_mount(), reason="skipped: a name server of one's own needs root, and the right to mount"
)


class NameServer:
    """Answers questions for addresses over UDP, by name in turn; `asked`: how often each was asked for."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers
        self.asked: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAME_SERVER, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                question, sender = self._socket.recvfrom(4096)
                answer = self._answer(question)
                if answer is not None:
                    self._socket.sendto(answer, sender)
            except OSError:
                return

    def _answer(self, question: bytes) -> bytes | None:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = ".".join(labels).lower()
        (kind,) = struct.unpack(">H", question[at + 1 : at + 3])
        addresses: list[str] = []
        if name == "silent.test":
            return None
        if kind == 1 and name in self._answers:
            turn = self.asked.get(name, 0)
            self.asked[name] = turn + 1
            addresses = self._answers[name][min(turn, len(self._answers[name]) - 1)]
        flags = 0x8180 if name in self._answers else 0x8183
        head = question[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
            for address in addresses
        )
        return head + question[12 : at + 5] + records

    def close(self) -> None:
        self._socket.close()


class Server:
    """HTTP on one address; /to/URL redirects; `requests` are the paths that were asked for."""

    def __init__(self, address: str, port: int = 0) -> None:
        requests = self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                moved = self.path.startswith("/to/")
                self.send_response(302 if moved else 200)
                if moved:
                    self.send_header("Location", self.path[len("/to/") :])
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"here")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    server = NameServer(
        {
            "good.test": [[GOOD]],
            "rebinds.test": [[GOOD], [BAD]],
            "both.test": [[BAD, GOOD]],
            "metadata.test": [["169.254.169.254"]],
            "private.test": [["10.0.0.1", "192.168.0.1"]],
        }
    )
    yield server
    server.close()


@pytest.fixture(scope="module")
def good() -> Iterator[Server]:
    server = Server(GOOD)
    yield server
    server.close()


@pytest.fixture(scope="module")
def bad(good: Server) -> Iterator[Server]:
    """On the same port, where nobody may go."""
    server = Server(BAD, good.port)
    yield server
    assert server.requests == [], "nothing of all this came here"
    server.close()


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster], names: NameServer, bad: Server, home: Path) -> Cluster:
    cluster = clusters("main")
    list_of_servers = home / "resolv.conf"
    list_of_servers.write_text(f"nameserver {NAME_SERVER}\noptions timeout:2 attempts:2\n")
    list_of_servers.chmod(0o644)
    through = ("unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter")
    through += (str(list_of_servers), os.path.realpath("/etc/resolv.conf"))
    cluster.worker("asker", "--http-allow", f"{GOOD}/32", through=through)
    return cluster


def fetch(cluster: Cluster, url: str) -> TaskResult:
    return cluster.run("http_request", {"url": url}, max_retries=0)


def test_a_name_of_a_good_address(cluster: Cluster, good: Server) -> None:
    result = fetch(cluster, f"http://good.test:{good.port}/")
    assert result.status.value == "success", result.error_message
    assert result.result_data["content"] == "here"


@pytest.mark.parametrize(
    "name, address", [("metadata.test", "169.254.169.254"), ("private.test", "10.0.0.1")]
)
def test_a_name_of_an_address_where_nobody_may_go(cluster: Cluster, name: str, address: str) -> None:
    result = fetch(cluster, f"http://{name}/")
    assert result.status.value == "failed"
    assert result.error_message.startswith(f"refused: {address} is "), result.error_message


def test_a_name_that_leads_elsewhere_the_second_time(
    cluster: Cluster, names: NameServer, good: Server, bad: Server
) -> None:
    """The first answer is good and the one after the redirect is not; for another port it is asked again."""
    elsewhere = Server(BAD)
    result = fetch(cluster, f"http://rebinds.test:{good.port}/to/http://rebinds.test:{elsewhere.port}/")
    assert names.asked["rebinds.test"] >= 2
    assert result.status.value == "failed"
    assert result.error_message.startswith(f"refused: {BAD} is loopback"), result.error_message
    assert elsewhere.requests == []
    elsewhere.close()


def test_a_name_with_a_bad_address_before_a_good_one(cluster: Cluster, good: Server, bad: Server) -> None:
    result = fetch(cluster, f"http://both.test:{good.port}/both")
    assert result.status.value == "success", result.error_message
    assert good.requests[-1] == "/both"
    assert bad.requests == []


def test_a_name_that_nobody_has(cluster: Cluster) -> None:
    result = fetch(cluster, "http://nobody.test/")
    assert (result.status.value, result.error_message.startswith("http_request: ")) == ("failed", True)


def test_a_name_server_that_says_nothing(cluster: Cluster, good: Server) -> None:
    """Neither the request's time nor a cancellation waits for the resolver, which has its own patience."""
    result = cluster.run("http_request", {"url": "http://silent.test/", "timeout": 0.5}, max_retries=0)
    assert (result.status.value, result.error_message) == ("failed", "http_request: timed out after 0.5 s")
    task_id = cluster.submit("http_request", {"url": "http://silent.test/", "timeout": 600})
    cluster.until(task_id, "running")
    assert cluster.client.cancel_task(task_id)
    assert cluster.wait(task_id).status.value == "cancelled"
    assert fetch(cluster, f"http://good.test:{good.port}/").status.value == "success"
