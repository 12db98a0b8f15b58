"""What a plugin says of itself is held to: schemas of payloads, its needs, its limits, and who signed it."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster import Cluster
from harness.plugins import (
    Workshop,
    device,
    literal,
    offers,
    sha256_of,
    until_offered,
    until_refused,
    until_withdrawn,
)
from harness.waiting import eventually

ORDER = """{"type": "object", "required": ["count"], "additionalProperties": false,
 "properties": {"count": {"type": "integer", "minimum": 1},
                "to": {"type": "array", "items": {"type": "string"}}}}"""


@pytest.fixture
def start(own_cluster: Callable[..., Cluster], workshop: Workshop) -> Callable[..., Cluster]:
    def run(*flags: str) -> Cluster:
        cluster = own_cluster()
        try:
            cluster.worker("plain", "--plugin-dir", str(workshop.drop), *flags)
        except AssertionError as error:
            lacks = re.search(r"--sandbox strict cannot be had here: .*", str(error))
            if lacks:
                pytest.skip(f"skipped: {lacks.group()}")
            raise
        return cluster

    return run


@pytest.mark.parametrize("where", ["table", "manifest"])
def test_a_payload_that_the_schema_refuses_fails_at_once_naming_the_field(
    start: Callable[..., Cluster], workshop: Workshop, where: str
) -> None:
    schema = f"SCHEMA={literal(ORDER)}" if where == "table" else f"MANIFEST={literal(_handlers(ORDER))}"
    workshop.put(workshop.build("1", schema))
    workshop.release()
    cluster = start()
    assert cluster.run("versioned", {"count": 2, "to": ["a"]}).result_data == "1"
    for payload, words in (
        ({"count": 0}, ["/count", "0"]),
        ({"count": "two"}, ["/count", "integer"]),
        ({}, ["count", "missing"]),
        ({"count": 1, "to": ["a", 5]}, ["/to/1", "string"]),
        ({"count": 1, "too": []}, ["too"]),
        ([1], ["payload"]),
        (None, ["payload"]),
    ):
        result = cluster.run("versioned", payload, max_retries=3)
        assert result.status.value == "failed", payload
        assert all(word in str(result.error_message) for word in words), (payload, result.error_message)
        task = cluster.client.get_task(result.task_id)
        assert task is not None and task.retry_count == 0
        assert "versioned 1 sha256:" in str(result.plugin)


def _handlers(schema: str) -> str:
    return '{"handlers": {"versioned": ' + schema + "}}"


def test_a_replaced_plugin_brings_its_schema(start: Callable[..., Cluster], workshop: Workshop) -> None:
    workshop.put(workshop.build("1"))
    workshop.release()
    cluster = start()
    assert cluster.run("versioned", "anything").status.value == "success"
    workshop.put(workshop.build("2", f"SCHEMA={literal(ORDER)}"))
    eventually(lambda: cluster.run("versioned", "anything").status.value == "failed", "the new schema holds")
    assert cluster.run("versioned", {"count": 1}).result_data == "2"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ('{"needs": {"netwrok": true}}', "netwrok"),
        ('{"name": "another"}', "another"),
        ('{"handlers": {"nobody": true}}', "nobody"),
        ('{"limits": {"memory_mb": "much"}}', "memory_mb"),
        ("no json", "manifest"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    start: Callable[..., Cluster], workshop: Workshop, manifest: str, words: str
) -> None:
    cluster = start()
    file = workshop.put(workshop.build("1", f"MANIFEST={literal(manifest)}"))
    assert words in until_refused(cluster, file)
    assert not offers(cluster)


def test_limits_of_a_manifest_only_tighten_those_of_the_worker(
    start: Callable[..., Cluster], workshop: Workshop
) -> None:
    mib = 1 << 20
    tight = '{"limits": {"memory_mb": 64, "open_files": 99}}'
    loose = '{"limits": {"memory_mb": 999999, "open_files": 999999}}'
    for name, manifest in (("tight", tight), ("loose", loose)):
        defines = ("TELLS_LIMITS", f"TYPE={literal(name)}", f"MANIFEST={literal(manifest)}")
        workshop.put(workshop.build("1", *defines), f"{name}.so")
    workshop.put(workshop.build("1", "TELLS_LIMITS", 'TYPE="none"'), "none.so")
    cluster = start("--handler-memory-gb", str(300 / 1024))
    assert cluster.run("tight").result_data == f"{64 * mib} 99"
    assert cluster.run("none").result_data == f"{300 * mib} 1024"
    assert cluster.run("loose").result_data == f"{300 * mib} 1024"


def test_a_directory_that_a_plugin_needs_must_be_allowed(
    start: Callable[..., Cluster], workshop: Workshop
) -> None:
    needs = literal('{"needs": {"paths": ["' + str(workshop.open) + '/pictures"]}}')
    file = workshop.put(workshop.build("1", f"MANIFEST={needs}"))
    cluster = start()
    assert f"--allow-path {workshop.open}/pictures" in until_refused(cluster, file)
    cluster.remove(cluster.workers[0])
    allowed = start("--allow-path", str(workshop.open))
    assert allowed.run("versioned").result_data == "1"


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_at_strict_only_a_plugin_that_says_so_has_the_network(
    start: Callable[..., Cluster], workshop: Workshop, listener: int
) -> None:
    asks = literal('{"needs": {"network": true}}')
    workshop.put(workshop.build("1", f"PORT={listener}", 'TYPE="asks"', f"MANIFEST={asks}"), "asks.so")
    workshop.put(workshop.build("1", f"PORT={listener}", 'TYPE="silent"'), "silent.so")
    cluster = start("--sandbox", "strict")
    assert device(cluster)["isolation"] == "strict"
    assert cluster.run("asks").result_data == "reached"
    assert cluster.run("silent").result_data == "unreached"


STARTS_PROGRAMS = 'MANIFEST="{\\"needs\\": {\\"subprocess\\": true}}"'


def test_at_strict_only_a_plugin_that_says_so_starts_programs(
    start: Callable[..., Cluster], workshop: Workshop
) -> None:
    workshop.put(workshop.build("1", "STARTS", 'TYPE="asks"', STARTS_PROGRAMS), "asks.so")
    workshop.put(workshop.build("1", "STARTS", 'TYPE="silent"'), "silent.so")
    cluster = start("--sandbox", "strict", "--allow", "command", "--allow", "python_eval")
    assert cluster.run("asks").result_data == "fork spawn exec thread "
    assert cluster.run("silent").result_data == "thread "
    assert cluster.run("asks", True).status.value == "success"
    refused = cluster.run("silent", True, max_retries=0)
    assert "Operation not permitted" in str(refused.error_message)
    assert "its manifest does not ask for needs.subprocess" in str(refused.error_message)
    # Those of ours that start programs say so.
    assert cluster.run("command", {"command": "echo hi | cat"}).result_data["stdout"] == "hi\n"
    assert cluster.run("python_eval", {"expression": "6 * 7"}).result_data["result"] == 42
    assert cluster.run("system_info", {}).status.value == "success"


def test_at_basic_a_manifest_does_not_bind_programs(
    start: Callable[..., Cluster], workshop: Workshop
) -> None:
    workshop.put(workshop.build("1", "STARTS", 'TYPE="silent"'), "silent.so")
    assert start().run("silent").result_data == "fork spawn exec thread "


def test_at_strict_a_plugin_is_probed_with_what_it_needs_and_no_more(
    start: Callable[..., Cluster], workshop: Workshop
) -> None:
    workshop.put(workshop.build("1", "FORKS_AT_LOAD", 'TYPE="asks"', STARTS_PROGRAMS), "asks.so")
    silent = workshop.put(workshop.build("1", "FORKS_AT_LOAD", 'TYPE="silent"'), "silent.so")
    cluster = start("--sandbox", "strict")
    assert cluster.run("asks").result_data == "1"
    assert "exit status 3" in until_refused(cluster, silent)
    assert not offers(cluster, "silent")


class Signer:
    """A key, and signatures of the format that docs/plugins.md describes, made by openssl."""

    def __init__(self, home: Path, name: str) -> None:
        self.pem = home / f"{name}.pem"
        self.public = home / f"{name}.pub"
        self._openssl("genpkey", "-algorithm", "ed25519", "-out", str(self.pem))
        raw = self._openssl("pkey", "-in", str(self.pem), "-pubout", "-outform", "DER")[-32:]
        self.hash = hashlib.sha256(raw).hexdigest()
        self.public.write_text(f"retire-cluster plugin public key 1\n{raw.hex()}\n")
        self.public.chmod(0o644)

    @staticmethod
    def _openssl(*words: str) -> bytes:
        done = subprocess.run(["openssl", *words], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sign(self, plugin: Path) -> Path:
        lines = f"retire-cluster plugin signature 1\nkey {self.hash}\nfile {sha256_of(plugin)}\n"
        message = self.pem.with_suffix(".msg")
        message.write_text(lines)
        made = self._openssl("pkeyutl", "-sign", "-inkey", str(self.pem), "-rawin", "-in", str(message))
        hidden = plugin.with_name(f".{plugin.name}.sig")
        hidden.write_text(f"{lines}signature {made.hex()}\n")
        return hidden.rename(plugin.with_name(f"{plugin.name}.sig"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="skipped: openssl is not installed")
def test_with_a_key_only_what_it_signed_is_used(start: Callable[..., Cluster], workshop: Workshop) -> None:
    mine, other = Signer(workshop.made, "mine"), Signer(workshop.made, "other")
    file = workshop.put(workshop.build("1"))
    cluster = start("--plugin-key", str(mine.public))
    refusal = until_refused(cluster, file)
    assert "sig" in refusal and not offers(cluster)
    assert not offers(cluster, "echo"), "nobody signed the built-in ones"
    other.sign(file)
    eventually(lambda: until_refused(cluster, file) != refusal, "signed by somebody else")
    assert not offers(cluster)
    signature = mine.sign(file)
    until_offered(cluster)
    assert cluster.run("versioned").result_data == "1"
    workshop.put(workshop.build("2"))  # other bytes beside the same signature
    assert "stays in use" in until_refused(cluster, file)
    assert cluster.run("versioned").result_data == "1"
    mine.sign(file)
    eventually(lambda: cluster.run("versioned").result_data == "2", "signed anew")
    signature.unlink()
    until_withdrawn(cluster)


def test_a_key_that_cannot_be_read_ends_the_worker(
    program: Callable[..., object], workshop: Workshop
) -> None:
    ran = program("retire-cluster-worker", "--plugin-key", str(workshop.made / "missing.pub"))
    assert ran.status == 3 and "--plugin-key" in ran.stderr and "missing.pub" in ran.stderr  # type: ignore[attr-defined]
