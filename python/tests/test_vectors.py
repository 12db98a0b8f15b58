"""The protocol's test vectors, which the C++ tests run too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import msgpack
import pytest
from retire_cluster.wire import Refused, codec, decode, encode, tree

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "protocol"


def vectors(key: str) -> List[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            if key in vector:
                found.append(pytest.param(vector, id=f"{path.stem}: {vector['name']}"))
    return found


def same(one: Any, other: Any) -> bool:
    """Equal, where numbers are compared as numbers but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return value


@pytest.mark.parametrize("vector", vectors("reading"))
def test_valid_message_is_read(vector: Dict[str, Any]) -> None:
    message = decode(bytes.fromhex(vector["hex"]))
    got = {"type": message.type, "correlation": message.correlation, "body": to_json(message.body)}
    assert same(got, vector["reading"]), (got, vector["reading"])


@pytest.mark.parametrize("vector", vectors("reading"))
def test_valid_message_comes_back_from_its_encoding(vector: Dict[str, Any]) -> None:
    message = decode(bytes.fromhex(vector["hex"]))
    assert decode(encode(*message)) == message


@pytest.mark.parametrize("vector", vectors("error"))
def test_invalid_message_is_refused_with_its_code(vector: Dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        decode(bytes.fromhex(vector["hex"]))
    assert refused.value.code == vector["error"], str(refused.value)


def test_files_are_what_the_generator_makes() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "make_vectors.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_there_are_enough_vectors() -> None:
    assert len(vectors("reading")) >= 60
    assert len(vectors("error")) >= 100


def test_message_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as refused:
        decode(b"\xc1" * (33_554_432 + 1))
    assert refused.value.code == "too_large"


def test_log_of_more_than_a_mebibyte_is_refused() -> None:
    lines = [[1, 0, "l" * 8192]] * 128
    item = [bytes(16), 1, 1, None, 0, None, None, lines]
    assert len(decode(encode("finished", 1, {"results": [item]})).body["results"][0][7]) == 128
    over = msgpack.packb([1, "finished", 1, {"results": [[*item[:7], [*lines, [1, 0, "x"]]]]}])
    with pytest.raises(Refused) as refused:
        decode(over)
    assert (refused.value.code, refused.value.field) == ("too_large", "results[0].logs")


def test_limits_of_counts_are_themselves_allowed() -> None:
    decode(encode("started", 0, {"attempts": list(range(10_000))}))
    decode(encode("heartbeat", 0, {"held": list(range(65_536))}))
    decode(encode("wait", 1, {"ids": bytes(160_000)}))
    tasks = [[bytes(16), 0, b"\xc0"]] * 10_000
    assert (
        len(decode(encode("submit", 1, {"specs": [["echo", 2, {}, ""]], "tasks": tasks})).body["tasks"])
        == 10_000
    )


@pytest.mark.parametrize(
    ("data", "correlation"),
    [
        (msgpack.packb([1, "nosuch", 77, {}]), 77),
        (msgpack.packb([2, "stats", 78, {}]), 78),
        (msgpack.packb([1, "wait", 79, {}]), 79),
        (msgpack.packb([1, "wait", 80, {"ids": bytes(16)}]) + b"\x00", 80),
        (b"\xc1", None),
        (msgpack.packb([1, "stats", "x", {}]), None),
    ],
)
def test_refusal_carries_the_correlation_if_it_could_be_read(data: bytes, correlation: Any) -> None:
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.correlation == correlation


def test_field_says_where() -> None:
    body = {"specs": [["echo", 2, {}, ""], ["echo", 2, {"max_retries": 1001}, ""]], "tasks": []}
    with pytest.raises(Refused) as refused:
        encode("submit", 1, body)
    assert refused.value.field == "specs[1].requirements.max_retries"
    assert "1001" in str(refused.value)


def carefully(data: bytes) -> Any:
    """What the careful reader alone makes of a frame: the message, or the code of its refusal."""
    try:
        envelope, behind = tree.careful(data)
        message = codec._read(envelope)
        return message if behind is None else behind.code
    except Refused as refused:
        return refused.code


@pytest.mark.parametrize("vector", vectors("reading")[::5] + vectors("error")[::5])
def test_changed_bytes_are_read_or_refused_and_both_readers_agree(vector: Dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    for at in range(min(len(data), 150)):
        for new in (0x00, 0x90, 0xC1, 0xC7, 0xDD, 0xDF, 0xFF, data[at] ^ 0x01, data[at] ^ 0x80):
            changed = data[:at] + bytes([new]) + data[at + 1 :]
            try:
                read: Any = decode(changed)
            except Refused as refused:
                read = refused.code
            assert read == carefully(changed), changed.hex()
