#!/usr/bin/env python3
"""Holds every #include of the tree against the table in docs/architecture.md, and the cores to their purity.

    scripts/check_layers.py [--root DIR]

The table between the two `layers` comments of that document is the only list: a row names a folder, the
folders whose headers it may include (and theirs, in turn), and the libraries that it may include itself. Beyond
includes, a folder marked `pure` may not touch clocks, threads, files, logs or chance, and a source file is built
by the CMakeLists.txt of its own folder, which makes one library. Prints one line for each fault and exits 1, or
exits 0.
"""

import argparse
import fnmatch
import pathlib
import re
import sys
from dataclasses import dataclass, field

TABLE = pathlib.Path("docs/architecture.md")
CODE = (".hpp", ".h", ".cpp", ".c")
SOURCES = (".cpp", ".c")
TOP_FOLDERS = ("common", "plugins", "handlers", "broker", "worker", "client", "gateway", "bench", "tests")
SDK = "plugins/sdk"

# Which header belongs to which library. A header that nothing here knows is refused.
LIBRARIES = {
    "zmq": r"zmq(_addon)?\.hp?p?$",
    "msgpack": r"msgpack(\.hp?p?$|/)",
    "boost": r"boost/",
    "spdlog": r"spdlog/",
    "fmt": r"fmt/",
    "cli11": r"CLI/",
    "toml++": r"toml\+\+/",
    "nlohmann": r"nlohmann/",
    "curl": r"curl/",
    "rocksdb": r"rocksdb/",
    "xxhash": r"xxhash\.h$",
    "seccomp": r"seccomp\.h$",
    "re2": r"re2/",
    "sodium": r"sodium\.h$",
    "benchmark": r"benchmark/",
    "hiredis": r"hiredis/",
    "gearman": r"libgearman/",
    "gtest": r"(gtest|gmock)/",
    "system": r"(sys|linux|net|netinet|arpa|asm)/|(dirent|dlfcn|elf|err|fcntl|fnmatch|getopt|glob|grp|ifaddrs|malloc|netdb|poll|pthread"
    r"|pty|pwd|sched|semaphore|signal|spawn|strings|syslog|termios|time|ucontext|unistd|utime|wordexp)\.h$",
}
STANDARD = re.compile(
    r"[a-z_0-9]+$|(assert|complex|ctype|errno|fenv|float|inttypes|limits|locale|math|setjmp|stdalign|stdarg|stdatomic"
    r"|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|threads|uchar|wchar|wctype|cxxabi)\.h$"
)

# Time, chance and everything else that a core needs comes in from outside.
IMPURE_HEADERS = set(
    """thread mutex shared_mutex condition_variable future stop_token semaphore barrier latch atomic fstream filesystem
    iostream ostream istream syncstream random ctime csignal execution print threads.h stdatomic.h""".split()
)
IMPURE_CODE = [
    (re.compile(r"::now\s*\("), "reads a clock; take the time as an argument"),
    (re.compile(r"\bSystemClock\b"), "reads a clock; take the time as an argument"),
    (
        re.compile(r"\b(steady|system|high_resolution)_clock::now\b"),
        "reads a clock; take the time as an argument",
    ),
    (
        re.compile(r"\b(random_device|mt19937(_64)?|minstd_rand0?|default_random_engine|random_shuffle)\b"),
        "is chance that no seed of ours controls; use common/base/rng.hpp",
    ),
    (re.compile(r"\bthread_local\b|\bthis_thread\b"), "is about threads"),
    (re.compile(r"\bstd::(jthread|thread|mutex|async|atomic)\b"), "is about threads"),
    (re.compile(r"\bstd::(cout|cerr|clog|cin)\b"), "writes or reads a stream of the process"),
    (
        re.compile(
            r"(?<![\w.>:])(?:std::|::)?(printf|fprintf|vprintf|puts|fputs|putchar|fopen|fwrite|fread|getenv|secure_getenv|rand|srand|random"
            r"|gettimeofday|clock_gettime|clock|usleep|nanosleep|fork|system|syslog)\s*\("
        ),
        "calls the world outside",
    ),
    (
        re.compile(r"(?<![\w.>:])(?:std::|::)?time\s*\(\s*(nullptr|NULL|0|&)"),
        "reads a clock; take the time as an argument",
    ),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')
LIBRARY_TARGET = re.compile(r"^\s*(rc_library|rc_handler|add_library)\s*\(\s*([\w:${}.-]+)([^)]*)\)", re.M)


@dataclass
class Row:
    folder: str
    includes: list = field(default_factory=list)
    libraries: set = field(default_factory=set)


def read_table(text):
    """The rows of the table, in its order; raises ValueError if there is none or it contradicts itself."""
    match = re.search(r"<!-- layers: begin -->\n(.*?)<!-- layers: end -->", text, re.S)
    if match is None:
        raise ValueError("no table between `<!-- layers: begin -->` and `<!-- layers: end -->`")
    rows = {}
    for line in match.group(1).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4 or not cells[0].startswith("`"):
            continue
        quoted = [re.findall(r"`([^`]+)`", cell) for cell in cells]
        for folder in quoted[0]:
            rows[folder] = Row(folder, quoted[2], set(quoted[3]))
    if not rows:
        raise ValueError("the table has no rows")
    unknown = {name for row in rows.values() for name in row.libraries} - set(LIBRARIES) - {"pure", "*"}
    if unknown:
        raise ValueError(f"libraries that this check does not know: {', '.join(sorted(unknown))}")
    for row in rows.values():
        for pattern in row.includes:
            if not any(matches(folder, pattern) for folder in rows):
                raise ValueError(f"`{row.folder}` may include `{pattern}`, which is no row")
    return rows


def matches(folder, pattern):
    return folder == pattern or fnmatch.fnmatchcase(folder, pattern)


def reach(rows):
    """What each row may include in the end: what it names, and what those name; nobody includes a row that may include
    everything. ValueError if the arrows make a circle."""
    done = {}

    def visit(folder, path):
        if folder in path:
            raise ValueError("a circle: " + " -> ".join([*path[path.index(folder) :], folder]))
        if folder not in done:
            allowed = {folder}
            for pattern in rows[folder].includes:
                for other in rows:
                    if other != folder and matches(other, pattern) and "*" not in rows[other].includes:
                        allowed |= visit(other, [*path, folder])
            done[folder] = allowed
        return done[folder]

    for folder in rows:
        visit(folder, [])
    return done


def row_of(path, rows):
    """The row of a file: of its folder, or of the nearest folder above it; None if the table has none."""
    for folder in pathlib.PurePosixPath(path).parents:
        name = str(folder)
        if name in rows:
            return name
        for pattern in rows:
            if "*" in pattern and matches(name, pattern) and pattern.count("/") == name.count("/"):
                return pattern
    return None


def strip(text):
    """The code without comments and the insides of literals, line by line as before. A raw string is a literal too."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.S,
    )
    return pattern.sub(
        lambda m: "\n" * m.group().count("\n") if m.group().startswith("/") else '""' + "\n" * m.group().count("\n"),
        text,
    )


class Check:
    def __init__(self, root):
        self.root = root
        self.rows = read_table((root / TABLE).read_text())
        self.allowed = reach(self.rows)
        self.faults = []
        self.files = 0
        self.includes = 0

    def fault(self, path, line, message):
        self.faults.append(f"{path}:{line}: {message}")

    def run(self):
        for top in TOP_FOLDERS:
            for file in sorted((self.root / top).rglob("*")):
                if file.suffix in CODE and file.is_file():
                    self.check_file(file.relative_to(self.root).as_posix(), file.read_text(errors="replace"))
        self.check_targets()

    def check_file(self, path, text):
        self.files += 1
        folder = row_of(path, self.rows)
        if folder is None:
            self.fault(path, 1, f"its folder has no row in {TABLE}")
            return
        for number, line in enumerate(text.splitlines(), 1):
            include = INCLUDE.match(line)
            if include:
                self.includes += 1
                self.check_include(
                    path, number, folder, include.group(1) or include.group(2), include.group(2) is not None
                )
        if "pure" in self.rows[folder].libraries:
            for number, line in enumerate(strip(text).splitlines(), 1):
                for pattern, reason in IMPURE_CODE:
                    found = pattern.search(line)
                    if found:
                        self.fault(path, number, f"`{found.group().strip()}` in the pure `{folder}` {reason}")

    def check_include(self, path, number, folder, header, quoted):
        if header.startswith("retire_cluster/"):
            if not (self.root / SDK / header).is_file():
                self.fault(path, number, f'"{header}" does not exist')
            self.check_folder(path, number, folder, header, SDK)
        elif header.split("/")[0] in TOP_FOLDERS and "/" in header:
            if not (self.root / header).is_file():
                self.fault(path, number, f'"{header}" does not exist')
            elif header.endswith(SOURCES):
                self.fault(path, number, f'"{header}" is a source file, not a header')
            else:
                self.check_folder(path, number, folder, header, row_of(header, self.rows))
        elif quoted:
            lists = (self.root / path).parent / "CMakeLists.txt"
            generated = "/" not in header and lists.is_file() and header in lists.read_text()
            if not generated:
                self.fault(
                    path,
                    number,
                    f'"{header}" is neither a path from the top of the tree nor made by CMake here',
                )
        else:
            self.check_library(path, number, folder, header)

    def check_folder(self, path, number, folder, header, other):
        if other is None:
            self.fault(path, number, f'"{header}" lies in a folder without a row in {TABLE}')
        elif other not in self.allowed[folder]:
            self.fault(path, number, f'`{folder}` may not include `{other}` ("{header}")')

    def check_library(self, path, number, folder, header):
        libraries = self.rows[folder].libraries
        if "pure" in libraries and header in IMPURE_HEADERS:
            self.fault(path, number, f"the pure `{folder}` may not include <{header}>")
            return
        for library, pattern in LIBRARIES.items():
            if re.match(pattern, header):
                if library not in libraries and "*" not in libraries:
                    self.fault(path, number, f"`{folder}` may not include <{header}> of `{library}`")
                return
        if not STANDARD.match(header):
            self.fault(path, number, f"<{header}> belongs to no library that scripts/check_layers.py knows")

    def check_targets(self):
        """One library a folder, made of the folder's own files. Tests, benchmarks and examples make what they like."""
        for folder in sorted(
            {row_of(p.relative_to(self.root).as_posix(), self.rows) and p.parent for p in self.all_sources()} - {None}
        ):
            name = folder.relative_to(self.root).as_posix()
            lists = folder / "CMakeLists.txt"
            text = re.sub(r"#[^\n]*", "", lists.read_text()) if lists.is_file() else ""
            words = set(re.split(r"[\s()]+", text))
            for source in sorted(folder.iterdir()):
                # rc_handler() adds plugin.cpp by itself.
                if (
                    source.suffix in SOURCES
                    and source.name not in words
                    and not (source.name == "plugin.cpp" and "rc_handler" in words)
                ):
                    self.fault(f"{name}/{source.name}", 1, f"is not built by {name}/CMakeLists.txt")
            libraries = [
                m.group(2)
                for m in LIBRARY_TARGET.finditer(text)
                if not re.search(r"\b(ALIAS|INTERFACE|IMPORTED)\b", m.group(3))
            ]
            if len(libraries) > 1:
                self.fault(f"{name}/CMakeLists.txt", 1, f"makes {len(libraries)} libraries: {', '.join(libraries)}")
            for word in sorted(words):
                if word.endswith(SOURCES) and "/" in word and "$" not in word and (folder / word).parent != folder:
                    self.fault(f"{name}/CMakeLists.txt", 1, f"builds {word}, which lies in another folder")

    def all_sources(self):
        for top in TOP_FOLDERS:
            if top in ("tests", "bench"):
                continue
            for file in (self.root / top).rglob("*"):
                if file.suffix in SOURCES and not file.is_relative_to(self.root / "plugins/examples"):
                    yield file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()
    try:
        check = Check(root)
        check.run()
    except (OSError, ValueError) as error:
        print(f"{TABLE}: {error}", file=sys.stderr)
        return 1
    for fault in check.faults:
        print(fault, file=sys.stderr)
    print(f"layers: {check.files} files, {check.includes} includes, {len(check.faults)} faults")
    return 1 if check.faults or not check.files else 0


if __name__ == "__main__":
    sys.exit(main())
