"""http_request over TLS: which certificates are good enough, and whose authorities count."""

from __future__ import annotations

import http.server
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from retire_cluster.tasks import TaskResult

from harness.cluster import Cluster

UNTRUSTED = Path(__file__).parent / "data" / "untrusted.pem"


class Authority:
    """Signs certificates, with the openssl program."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key, self.certificate = directory / f"{name}.key", directory / f"{name}.pem"
        openssl(
            "req",
            "-x509",
            *NEW_KEY,
            self._key,
            "-out",
            self.certificate,
            "-subj",
            f"/CN={name}",
            "-days",
            "7",
        )

    def sign(self, name: str, alternatives: str, *validity: str) -> Path:
        """A file with key and certificate of a server."""
        key, request = self._directory / f"{name}.key", self._directory / f"{name}.csr"
        extensions, signed = self._directory / f"{name}.ext", self._directory / f"{name}.pem"
        openssl("req", *NEW_KEY, key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={alternatives}\n")
        openssl(
            *(
                "x509",
                "-req",
                "-in",
                request,
                "-CA",
                self.certificate,
                "-CAkey",
                self._key,
                "-CAcreateserial",
            ),
            *("-extfile", extensions, "-out", signed, *(validity or ("-days", "7"))),
        )
        whole = self._directory / f"{name}-whole.pem"
        whole.write_text(key.read_text() + signed.read_text())
        return whole


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")


def openssl(*arguments: Any) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Not below pytest's directory, which only its owner may enter: handlers run as somebody else."""
    if shutil.which("openssl") is None:
        if os.environ.get("RETIRE_CLUSTER_REQUIRE_PROGRAMS") == "1":
            pytest.fail("openssl is missing: scripts/install-deps.sh --test", pytrace=False)
        pytest.skip("openssl is missing")
    with tempfile.TemporaryDirectory(prefix="certificates-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def authority(place: Path) -> Authority:
    return Authority(place, "our-authority")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path.startswith("/to/") else 200)
        if self.path.startswith("/to/"):
            self.send_header("Location", self.path[len("/to/") :])
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """HTTPS on loopback; `requests`: how many came as far as to be read."""

    def __init__(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[Path], Server]]:
    made: list[Server] = []

    def make(certificate: Path) -> Server:
        made.append(Server(certificate))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def good(authority: Authority, servers: Callable[[Path], Server]) -> Server:
    return servers(authority.sign("good", "DNS:localhost,IP:127.0.0.1"))


@pytest.fixture(scope="module")
def cluster(clusters: Callable[..., Cluster], authority: Authority, place: Path) -> Cluster:
    cluster = clusters("main")
    loopback = ("--http-allow", "127.0.0.0/8")
    trusting = cluster.start_worker(
        *("trusting", *loopback, "--tag", "trusting"), SSL_CERT_FILE=str(authority.certificate)
    )
    usual = cluster.start_worker("usual", *loopback, "--tag", "usual", SSL_CERT_FILE="", SSL_CERT_DIR="")
    cluster.joined(trusting, usual)
    return cluster


def fetch(cluster: Cluster, url: str, by: str = "trusting") -> TaskResult:
    return cluster.run("http_request", {"url": url}, required_tags=[by], max_retries=3)


def assert_refused(cluster: Cluster, result: TaskResult, *words: str) -> None:
    assert result.status.value == "failed"
    for word in words:
        assert word in (result.error_message or ""), result.error_message
    assert cluster.client.get_task(result.task_id).retry_count == 0, "the same request would meet it again"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate_of_an_authority_of_our_own(cluster: Cluster, good: Server, host: str) -> None:
    result = fetch(cluster, f"https://{host}:{good.port}/")
    assert result.status.value == "success", result.error_message
    assert (result.result_data["status_code"], result.result_data["content"]) == (200, "secret")


def test_an_authority_that_nobody_named_does_not_count(cluster: Cluster, good: Server) -> None:
    assert_refused(cluster, fetch(cluster, f"https://localhost:{good.port}/", "usual"), "certificate")


def test_the_name_must_be_the_one_that_was_asked_for(
    cluster: Cluster, authority: Authority, servers: Callable[[Path], Server]
) -> None:
    server = servers(authority.sign("elsewhere", "DNS:elsewhere.example,IP:127.0.0.2"))
    for host in ("localhost", "127.0.0.1"):
        assert_refused(cluster, fetch(cluster, f"https://{host}:{server.port}/"), host)


def test_an_expired_certificate(
    cluster: Cluster, authority: Authority, servers: Callable[[Path], Server]
) -> None:
    try:
        expired = authority.sign("expired", "DNS:localhost", "-days", "-1")
    except subprocess.CalledProcessError:  # newer ones want the day itself
        past = ("-not_before", "20200101000000Z", "-not_after", "20210101000000Z")
        expired = authority.sign("expired", "DNS:localhost", *past)
    server = servers(expired)
    assert_refused(cluster, fetch(cluster, f"https://localhost:{server.port}/"), "expired")


def test_one_that_signed_itself(cluster: Cluster, servers: Callable[[Path], Server]) -> None:
    assert_refused(cluster, fetch(cluster, f"https://localhost:{servers(UNTRUSTED).port}/"), "certificate")


def test_one_of_another_authority(cluster: Cluster, place: Path, servers: Callable[[Path], Server]) -> None:
    server = servers(Authority(place, "their-authority").sign("theirs", "DNS:localhost"))
    assert_refused(cluster, fetch(cluster, f"https://localhost:{server.port}/"), "certificate")


def test_a_redirect_is_checked_as_well(
    cluster: Cluster, good: Server, servers: Callable[[Path], Server]
) -> None:
    """A good server sends us on to a bad one."""
    bad = servers(UNTRUSTED)
    url = f"https://localhost:{good.port}/to/https://localhost:{bad.port}/"
    assert_refused(cluster, fetch(cluster, url), "certificate")


def test_certificates_that_cannot_be_read_are_named_at_start(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.start_worker("mistaken", SSL_CERT_FILE=str(tmp_path / "missing.pem"))
    cluster.joined(worker)
    worker.line(r"http_request: SSL_CERT_FILE names \S+missing\.pem, which handlers cannot read", "stderr")
    assert "http_request" not in cluster.client.get_device_capabilities("mistaken")["handlers"]
