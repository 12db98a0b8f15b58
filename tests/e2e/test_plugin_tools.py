"""`retire-cluster plugin`: keys, signatures, and what is shown of plugins; real programs and files."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.programs import bin_dir, environment, program

FIXTURES = bin_dir().parent / "tests" / "unit" / "plugins" / "fixtures"


class Tool:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.status = -1
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: object, **variables: str) -> str:
        done = subprocess.run(
            [str(program("retire-cluster")), "plugin", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.home,
            env=environment(self.home, **variables),
        )
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        return self.out

    def json(self, *arguments: object, **variables: str) -> Any:
        return json.loads(self(*arguments, "--json", **variables))

    def refused(self, *arguments: object) -> str:
        """One line on stderr that says why; data there is none."""
        self(*arguments)
        assert self.status != 0
        assert self.err.startswith("retire-cluster: ") and self.err.count("\n") == 1, self.err
        return self.err


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A directory with copies of built-in plugins."""
    directory = tmp_path / "plugins"
    directory.mkdir(mode=0o755)
    for name in ("echo", "http_request"):
        copy = directory / f"{name}.so"
        shutil.copy(bin_dir().parent / "lib" / "retire-cluster" / "plugins" / f"{name}.so", copy)
        copy.chmod(0o755)
    return directory


def fixture(name: str) -> Path:
    path = FIXTURES / f"{name}.so"
    if not path.exists():
        pytest.skip(f"{path} is not built (RC_BUILD_TESTS)")
    return path


# --- keys and signatures


def test_a_key_signs_and_its_other_half_verifies(tool: Tool, plugins: Path) -> None:
    made = tool.json("keygen", "k")
    assert tool.status == 0 and stat.S_IMODE(os.stat(tool.home / "k.key").st_mode) == 0o600
    echo, request = plugins / "echo.so", plugins / "http_request.so"
    before = echo.read_bytes()
    signed = tool.json("sign", "--key", "k.key", echo, request)
    assert [one["key_id"] for one in signed["plugins"]] == [made["key_id"]] * 2
    assert echo.read_bytes() == before and (plugins / "echo.so.sig").exists()

    verified = tool.json("verify", "--plugin-key", "k.pub", echo, request)
    assert tool.status == 0
    assert [(one["valid"], one["key_id"], one["why"]) for one in verified["plugins"]] == [
        (True, made["key_id"], None)
    ] * 2
    assert "signed by key " + made["key_id"] in tool("verify", echo, RETIRE_CLUSTER_PLUGIN_KEY="k.pub")


def test_what_was_not_signed_so_is_refused_with_the_reason(tool: Tool, plugins: Path) -> None:
    tool("keygen", "k")
    tool("keygen", "other")
    echo = plugins / "echo.so"
    assert "not signed: there is no echo.so.sig" in tool.refused("verify", "--plugin-key", "k.pub", echo)
    assert tool.status == 1
    tool("sign", "--key", "k.key", echo)
    assert "not among those that are trusted" in tool.refused("verify", "--plugin-key", "other.pub", echo)
    tool("verify", "--plugin-key", "other.pub", "--plugin-key", "k.pub", echo)
    assert tool.status == 0

    whole = echo.read_bytes()
    echo.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "for other bytes" in tool.refused("verify", "--plugin-key", "k.pub", echo)
    echo.write_bytes(whole)

    beside = plugins / "echo.so.sig"
    text = beside.read_bytes()
    for broken in (
        text[:-10],
        text[:-2] + (b"0" if text[-2:-1] != b"0" else b"1") + b"\n",
        b"",
        os.urandom(5000),
    ):
        beside.write_bytes(broken)
        assert str(echo) in tool.refused("verify", "--plugin-key", "k.pub", echo) and tool.status == 1
        document = tool.json("verify", "--plugin-key", "k.pub", echo)
        assert tool.status == 1 and not document["plugins"][0]["valid"] and document["plugins"][0]["why"]


def test_one_bad_plugin_among_good_ones_is_named_and_decides_the_status(tool: Tool, plugins: Path) -> None:
    tool("keygen", "k")
    tool("sign", "--key", "k.key", plugins / "echo.so")
    out = tool("verify", "--plugin-key", "k.pub", plugins / "http_request.so", plugins / "echo.so")
    assert tool.status == 1 and "echo.so: signed" in out and "http_request.so: not signed" in tool.err


def test_keys_are_never_overwritten_and_private_ones_are_private(tool: Tool, plugins: Path) -> None:
    tool("keygen", "k")
    before = (tool.home / "k.key").read_bytes()
    assert "k.pub: is there already" in tool.refused("keygen", "k")
    assert (tool.status, (tool.home / "k.key").read_bytes()) == (1, before)
    (tool.home / "k.key").chmod(0o644)
    assert "chmod 600" in tool.refused("sign", "--key", "k.key", plugins / "echo.so")
    assert tool.status == 3
    (tool.home / "k.key").chmod(0o600)
    (tool.home / "k.pub").chmod(0o666)
    assert "anybody could put another key there" in tool.refused(
        "verify", "--plugin-key", "k.pub", plugins / "echo.so"
    )
    assert tool.status == 3


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("sign", "--key", "none.key", "PLUGIN"), 3, "none.key: no such file"),
        (("sign", "--key", "k.pub", "PLUGIN"), 3, "first line must be"),
        (("sign", "--key", "k.key", "none.so"), 1, "none.so: no such file"),
        (("sign", "--key", "k.key", "."), 1, "not a file"),
        (("sign", "PLUGIN"), 2, "--key"),
        (("sign", "--key", "k.key"), 2, "file is missing"),
        (("verify", "PLUGIN"), 2, "--plugin-key"),
        (("verify", "--plugin-key", "k.key", "PLUGIN"), 3, "first line must be"),
        (("verify", "--plugin-key", "k.pub", "none.so"), 1, "none.so: no such file"),
        (("keygen", "a", "b"), 2, "one NAME"),
        (("keygen", "missing/directory/k"), 1, "missing/directory/k.pub"),
        (("list", "none"), 1, "none: No such file"),
        (("show", "none"), 1, '"none"'),
        (("show", "./none.so"), 1, "none.so"),
        (("shwo",), 2, "did you mean show?"),
    ],
)
def test_mistakes_are_named(
    tool: Tool, plugins: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    tool("keygen", "k")
    (tool.home / "k.key").chmod(0o600)
    tool(*[plugins / "echo.so" if one == "PLUGIN" else one for one in arguments])
    assert (tool.status, words in tool.err) == (status, True), tool.err
    assert all(line.startswith("retire-cluster: ") for line in tool.err.splitlines())


# --- list and show


def test_the_installed_plugins_are_listed(tool: Tool) -> None:
    document = tool.json("list")
    assert tool.status == 0
    by_name = {one["name"]: one for one in document["plugins"]}
    assert {"echo", "sleep", "system_info", "python_eval", "http_request", "command"} <= set(by_name)
    for one in by_name.values():
        assert one["refused"] is None and len(one["sha256"]) == 64 and one["signature"]["state"] == "none"
    assert by_name["http_request"]["needs"] == {"network": True, "subprocess": False, "paths": []}
    assert by_name["command"]["needs"]["subprocess"] and not by_name["command"]["needs"]["network"]
    assert "http_request" in tool("list")


def test_the_list_tells_who_signed(tool: Tool, plugins: Path) -> None:
    key = tool.json("keygen", "k")["key_id"]
    tool("keygen", "other")
    tool("sign", "--key", "k.key", plugins / "echo.so")

    def states(*flags: str) -> list[tuple[str, str | None]]:
        return [
            (one["signature"]["state"], one["signature"]["key_id"])
            for one in tool.json("list", plugins, *flags)["plugins"]
        ]

    assert states() == [("unverified", key), ("none", None)]
    assert states("--plugin-key", "k.pub") == [("valid", key), ("none", None)]
    assert states("--plugin-key", "other.pub") == [("refused", key), ("none", None)]
    assert f"valid by {key}" in tool("list", plugins, "--plugin-key", "k.pub")


def test_refused_files_are_listed_with_the_reason(tool: Tool, plugins: Path) -> None:
    (plugins / "text.so").write_text("this is no shared library\n")
    shutil.copy(plugins / "echo.so", plugins / "writable.so")
    (plugins / "writable.so").chmod(0o777)
    shutil.copy(fixture("wrong_abi"), plugins / "wrong_abi.so")
    (plugins / "dangling.so").symlink_to("nowhere")
    refused = {Path(one["file"]).name: one["refused"] for one in tool.json("list", plugins)["plugins"]}
    assert tool.status == 0
    assert refused["echo.so"] is None and refused["http_request.so"] is None
    assert "not a shared library" in refused["text.so"]
    assert "writable by everybody" in refused["writable.so"]
    assert "plugin ABI 2" in refused["wrong_abi.so"]
    assert "No such file" in refused["dangling.so"]
    assert "writable.so: " in tool("list", plugins) and "chmod o-w" in tool.out


def test_show_prints_manifest_and_schemas_by_file_and_by_name(tool: Tool) -> None:
    document = tool.json("show", fixture("cpp"))
    assert tool.status == 0
    assert (document["name"], document["version"]) == ("cpp", "2.0")
    assert document["needs"]["network"] and document["limits"] == {"memory_mb": 256}
    handlers = {one["task_type"]: one for one in document["handlers"]}
    assert handlers["greet"]["payload_schema"]["required"] == ["name"]  # from the manifest
    assert handlers["bytes"]["off_by_default"] and handlers["count"]["payload_schema"] is None

    text = tool("show", "sleep")
    assert tool.status == 0 and "duration" in text and "nothing" in text
    assert tool.json("show", "http_request")["handlers"][0]["payload_schema"]["required"] == ["url"]
    by_handler = tool.json("show", "greet", "--plugin-dir", FIXTURES)
    assert Path(by_handler["file"]).name == "cpp.so"


def test_a_plugin_without_a_manifest_is_shown_too(tool: Tool) -> None:
    document = tool.json("show", fixture("sound"))
    assert tool.status == 0 and document["needs"] == {"network": False, "subprocess": False, "paths": []}
    assert [one["task_type"] for one in document["handlers"]] == ["first", "second.one-2"]


def test_a_plugin_that_ends_its_process_when_it_is_loaded_ends_no_other(tool: Tool, plugins: Path) -> None:
    shutil.copy(fixture("exits_at_load"), plugins / "exits.so")
    refused = {Path(one["file"]).name: one["refused"] for one in tool.json("list", plugins)["plugins"]}
    assert tool.status == 0 and refused["echo.so"] is None
    assert "died while it was loaded" in refused["exits.so"] and "77" in refused["exits.so"]


def test_of_a_file_that_is_not_trusted_the_manifest_is_told_all_the_same(tool: Tool, plugins: Path) -> None:
    shutil.copy(fixture("exits_at_load"), plugins / "exits.so")
    (plugins / "exits.so").chmod(0o777)
    document = tool.json("show", plugins / "exits.so")
    assert tool.status == 1 and "writable by everybody" in document["refused"]
    assert document["needs"]["network"] and document["handlers"] == []


@pytest.mark.parametrize(
    ("name", "words"), [("bad_manifest", "the key"), ("contradicts", "/name"), ("bad_schema", "/type")]
)
def test_a_manifest_or_schema_that_makes_no_sense_is_refused(tool: Tool, name: str, words: str) -> None:
    document = tool.json("show", fixture(name))
    assert tool.status == 1 and words in document["refused"], document["refused"]
