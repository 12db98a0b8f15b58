"""The layer check refuses each kind of bad tree, and passes a good one."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Dict, List

import pytest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"

TABLE = """
<!-- layers: begin -->
| folder | what lives there | may include | libraries |
| --- | --- | --- | --- |
| `common/base` | values | | |
| `common/net` | sockets | `common/base` | `zmq`, `system` |
| `plugins/sdk` | headers for authors | | `msgpack` |
| `handlers/support` | shared | `plugins/sdk` | `system` |
| `handlers/*` | handlers | `handlers/support` | `msgpack` |
| `broker/core` | the core | `common/base` | `pure` |
| `broker/service` | the loop | `common/*`, `broker/core` | `system` |
| `worker/core` | another core | `common/base` | `pure` |
| `tests` | tests | `*` | `*` |
<!-- layers: end -->
"""

GOOD = {
    "docs/architecture.md": TABLE,
    "common/base/time.hpp": "#include <chrono>\n",
    "common/net/CMakeLists.txt": "rc_library(rc_net SOURCES socket.cpp LINK rc_base)\n",
    "common/net/socket.hpp": '#include "common/base/time.hpp"\n',
    "common/net/socket.cpp": '#include "common/net/socket.hpp"\n#include <zmq.h>\n#include <sys/socket.h>\n',
    "plugins/sdk/retire_cluster/plugin.hpp": "#include <msgpack.hpp>\n",
    "handlers/support/utf8.hpp": "#include <unistd.h>\n",
    "handlers/echo/CMakeLists.txt": "rc_handler(echo SOURCES echo.cpp)  # writes table.hpp\n",
    "handlers/echo/echo.cpp": '#include "handlers/support/utf8.hpp"\n#include "table.hpp"\n',
    "handlers/echo/plugin.cpp": "#include <retire_cluster/plugin.hpp>\n",
    "broker/core/CMakeLists.txt": "rc_library(rc_core SOURCES core.cpp)\n",
    "broker/core/core.hpp": '#include <chrono>\n#include <cstdio>\n#include "common/base/time.hpp"\n',
    "broker/core/core.cpp": "\n".join(
        [
            '#include "broker/core/core.hpp"',
            "// std::mutex, ::now() and fopen() are only talked about here",
            'const char* text = "std::chrono::steady_clock::now() and rand()";',
            "int a = snprintf(buffer, 3, text);",
            "Id id = Id::random(rng.next());",
            "auto next = core.next_time(0);",
            "char quote = '\"'; int million = 1'000'000;",
        ]
    ),
    "broker/service/CMakeLists.txt": "rc_library(rc_broker SOURCES loop.cpp)\nrc_program(main SOURCES main.cpp)\n",
    "broker/service/loop.cpp": '#include "broker/core/core.hpp"\n#include "common/net/socket.hpp"\n#include <thread>\n',
    "broker/service/main.cpp": "int main() { return SystemClock::now(); }\n",
    "tests/unit/core_test.cpp": '#include "broker/core/core.hpp"\n#include <gtest/gtest.h>\n#include <zmq.h>\n',
}


def check(tmp_path: pathlib.Path, changes: Dict[str, str]) -> subprocess.CompletedProcess[str]:
    for path, text in {**GOOD, **changes}.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    command: List[str] = [sys.executable, str(CHECK), "--root", str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_good_tree_passes(tmp_path: pathlib.Path) -> None:
    result = check(tmp_path, {})
    assert (result.returncode, result.stderr) == (0, "")
    assert "0 faults" in result.stdout


def core(line: str) -> Dict[str, str]:
    return {"broker/core/core.cpp": f"int before;\n{line}\n"}


BAD = {
    "an arrow back": (
        {"common/base/time.hpp": '#include "common/net/socket.hpp"\n'},
        'common/base/time.hpp:1: `common/base` may not include `common/net` ("common/net/socket.hpp")',
    ),
    "from core to core": (
        {"worker/core/slots.hpp": '#include "broker/core/core.hpp"\n'},
        "`worker/core` may not include `broker/core`",
    ),
    "the SDK from a core": (
        core("#include <retire_cluster/plugin.hpp>"),
        "`broker/core` may not include `plugins/sdk`",
    ),
    "a handler from main": (
        {"broker/service/main.cpp": '#include "handlers/support/utf8.hpp"\n'},
        "`broker/service` may not include `handlers/support`",
    ),
    "a library out of its folder": (
        {"broker/service/main.cpp": "#include <zmq.h>\n"},
        "`broker/service` may not include <zmq.h> of `zmq`",
    ),
    "a C++ name for the same library": (
        {"broker/service/main.cpp": "#include <zmq.hpp>\n"},
        "may not include <zmq.hpp> of `zmq`",
    ),
    "a library that nobody knows": (
        {"broker/service/main.cpp": "#include <lmdb/lmdb.h>\n"},
        "<lmdb/lmdb.h> belongs to no library",
    ),
    "a file that is not there": (
        core('#include "common/base/gone.hpp"'),
        '"common/base/gone.hpp" does not exist',
    ),
    "a source file included": (
        {"broker/service/main.cpp": '#include "broker/core/core.cpp"\n'},
        "is a source file, not a header",
    ),
    "a path from here instead of the top": (
        core('#include "core.hpp"'),
        "neither a path from the top of the tree",
    ),
    "a path through the parent": (
        core('#include "../service/loop.hpp"'),
        "neither a path from the top of the tree",
    ),
    "a folder without a row": (
        {"broker/auth/keys.hpp": "#include <string>\n"},
        "broker/auth/keys.hpp:1: its folder has no row",
    ),
    "a system header in a core": (core("#include <unistd.h>"), "may not include <unistd.h> of `system`"),
    "spaces do not hide it": (
        core("  #  include   <thread>"),
        "broker/core/core.cpp:2: the pure `broker/core`",
    ),
    **{
        f"<{header}> in a core": (
            core(f"#include <{header}>"),
            f"the pure `broker/core` may not include <{header}>",
        )
        for header in ("thread", "mutex", "fstream", "filesystem", "iostream", "random", "ctime", "atomic")
    },
    **{
        f"{code} in a core": (core(code), "broker/core/core.cpp:2: ")
        for code in (
            "auto t = std::chrono::steady_clock::now();",
            "auto t = SystemClock::now();",
            "const SystemClock& clock = world.clock;",
            "std::random_device device;",
            "std::cerr << 1;",
            "thread_local int x;",
            "int r = std::rand();",
            "auto t = time(nullptr);",
            "auto t = std::time(nullptr);",
            'auto f = ::fopen("/etc/passwd", "r");',
            'const char* home = getenv("HOME");',
        )
    },
    "a source that nobody builds": (
        {"broker/core/extra.cpp": "int x;\n"},
        "broker/core/extra.cpp:1: is not built by broker/core/CMakeLists.txt",
    ),
    "two libraries in a folder": (
        {"common/net/CMakeLists.txt": "rc_library(a SOURCES socket.cpp)\nrc_library(b SOURCES socket.cpp)\n"},
        "common/net/CMakeLists.txt:1: makes 2 libraries: a, b",
    ),
    "another folder's source": (
        {"broker/service/CMakeLists.txt": "rc_library(a SOURCES loop.cpp main.cpp ../core/core.cpp)\n"},
        "builds ../core/core.cpp, which lies in another folder",
    ),
    "a circle in the table": (
        {"docs/architecture.md": TABLE.replace("| values | |", "| values | `common/net` |")},
        "a circle: common/base -> common/net -> common/base",
    ),
    "a row that names no row": (
        {"docs/architecture.md": TABLE.replace("| values | |", "| values | `common/gone` |")},
        "`common/gone`, which is no row",
    ),
    "a library that has no pattern": (
        {"docs/architecture.md": TABLE.replace("`zmq`", "`zmq4`")},
        "libraries that this check does not know: zmq4",
    ),
    "no table": ({"docs/architecture.md": "# Architecture\n"}, "no table between"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_tree_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    changes, message = BAD[name]
    result = check(tmp_path, changes)
    assert result.returncode == 1
    assert message in result.stderr


def test_an_empty_tree_is_no_success(tmp_path: pathlib.Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/architecture.md").write_text(TABLE)
    result = subprocess.run(
        [sys.executable, str(CHECK), "--root", str(tmp_path)], capture_output=True, timeout=60, check=False
    )
    assert result.returncode == 1
