#!/usr/bin/env python3
"""Checks the rules of the house: tidy.py [FOLDER]. Prints "path:line: rule: what" and exits 1.

Each rule is a function that yields complaints and is listed in RULES. Functions and files that were
too long when the rule came stand in ratchet.txt with their length: they may shrink, never grow, and
an entry that is no longer needed or no longer exact is a complaint too.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

ROOMS = ["base", "kernel", "tensor", "nn", "text", "model", "data", "engine", "train", "http",
         "store", "arena", "report", "cli"]
COLUMNS, FUNCTION_LINES, FILE_LINES = 100, 70, 800
MADE = {".git", "build", "runs", "data"}  # at the top, by git, make and people
CODE = (".c", ".h", ".py", ".sh", ".cmake")
TEXT = CODE + (".md", ".txt", ".yml", ".clang-format", ".clang-tidy", ".gitignore", "Makefile")
RATCHET = "tests/tidy/ratchet.txt"

# Calls that nobody may make, and those that belong to one place.
BANNED = "strcpy strcat sprintf vsprintf atoi atol atof gets strtok".split()
ALLOCATE = "malloc calloc realloc free strdup strndup asprintf posix_memalign aligned_alloc".split()
LIBM = ("exp exp2 expm1 log log2 log10 log1p pow tanh sinh cosh tan sin cos sincos atan atan2 asin "
        "acos cbrt erf erfc hypot tgamma lgamma").split()


class Source:
    """A text file: its lines, and for C its text without comments (and without strings)."""

    def __init__(self, folder, path):
        self.path = path
        with open(os.path.join(folder, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.is_c = path.endswith((".c", ".h"))
        self.room = path.split("/")[1] if path.startswith("src/") and path.count("/") > 1 else ""
        self.no_comments = blank(self.text, strings=False) if self.is_c else self.text
        self.bare = blank(self.text, strings=True) if self.is_c else self.text


def blank(text, strings):
    """Comments, and strings if wished, replaced by blanks; line breaks stay."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def replace(match):
        word = match.group(0)
        if word[0] in "\"'" and not strings:
            return word
        edge = word[0] if word[0] in "\"'" else " "
        inner = re.sub(r"[^\n]", " ", word[1:-1])
        return edge + inner + edge if len(word) > 1 else word

    return token.sub(replace, text)


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def find_files(folder):
    paths = []
    for parent, folders, names in os.walk(folder):
        inside = os.path.relpath(parent, folder)
        folders[:] = sorted(f for f in folders if f != "__pycache__" and
                            not (inside == "." and f in MADE))
        for name in sorted(names):
            path = name if inside == "." else f"{inside}/{name}"
            is_script = inside == "scripts" or inside == ".ci"
            if name.endswith(TEXT) or name == "CMakeLists.txt" or is_script:
                paths.append(path)
    return paths


# ---- rules: each yields (path, line, message) ----

def rule_text(tree):
    for s in tree.sources:
        code = s.path.endswith(CODE) or s.path.startswith(("scripts/", ".ci/"))
        for number, line in enumerate(s.lines, 1):
            if code and len(line) > COLUMNS:
                yield s.path, number, f"{len(line)} columns (at most {COLUMNS})"
            if "\t" in line and not s.path.endswith("Makefile"):
                yield s.path, number, "a tab"
            if line != line.rstrip():
                yield s.path, number, "blanks at the end of the line"
        if s.text and not s.text.endswith("\n"):
            yield s.path, len(s.lines), "no newline at the end of the file"
        if s.text.endswith("\n\n"):
            yield s.path, len(s.lines), "an empty line at the end of the file"


def rule_unfinished(tree):
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    for s in tree.sources:
        for number, line in enumerate(s.lines, 1):
            found = words.search(line)
            if found:
                yield s.path, number, f"{found.group(0)}: finish it, or say it in an issue"


def functions_of(source):
    """(name, first line, lines) of each function body at the outermost level."""
    text = re.sub(r"^[ ]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  source.bare, flags=re.M)
    depth, start, opened = 0, 0, None
    for i, c in enumerate(text):
        if c == "{":
            if depth == 0:
                head = text[start:i]
                named = re.search(r"(\w+)\s*\(", head)
                is_function = named and "=" not in head and head.rstrip().endswith(")")
                first = start + len(head) - len(head.lstrip())
                opened = (named.group(1), line_at(text, first)) if is_function else None
            depth += 1
        elif c == "}":
            depth = max(depth - 1, 0)
            if depth == 0:
                if opened:
                    yield opened[0], opened[1], line_at(text, i) - opened[1] + 1
                opened, start = None, i + 1
        elif c == ";" and depth == 0:
            start = i + 1


def rule_length(tree):
    allowed = read_ratchet(tree)
    for s in tree.sources:
        if not s.path.endswith((".c", ".h", ".py")):
            continue
        lengths = [(s.path, 1, len(s.lines) - 1, FILE_LINES)]
        if s.is_c:
            lengths += [(f"{s.path}:{name}", line, length, FUNCTION_LINES)
                        for name, line, length in functions_of(s)]
        for key, line, length, limit in lengths:
            entry = allowed.pop(key, None)
            if length > (entry or limit):
                yield s.path, line, f"{key} has {length} lines (at most {entry or limit})"
            elif entry and length < entry:
                now = f"now {length}: lower it" if length > limit else "no longer needed"
                yield RATCHET, 1, f"{key} {entry}: {now}"
    for key in allowed:
        yield RATCHET, 1, f"{key}: there is no such file or function"


def read_ratchet(tree):
    path = os.path.join(tree.folder, RATCHET)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {key: int(length) for key, length in rows}


def calls(source, names):
    pattern = r"(?<![\w.>])(" + "|".join(names) + r")\s*\("
    for found in re.finditer(pattern, source.bare):
        yield line_at(source.bare, found.start()), found.group(1)


def rule_calls(tree):
    for s in tree.sources:
        if not s.is_c:
            continue
        for line, name in calls(s, BANNED):
            yield s.path, line, f"{name}() is banned: its result has no bounds or no errors"
        if not s.path.startswith("src/"):
            continue
        if s.path != "src/base/memory.c":
            for line, name in calls(s, ALLOCATE):
                yield s.path, line, f"{name}() belongs to src/base/memory.c: use bv_{name}"
        if s.path != "src/base/json.c":
            for line, name in calls(s, [r"json_load\w*"]):
                yield s.path, line, f"{name}() belongs to src/base/json.c: use bv_json_parse"
        if not s.path.startswith("src/kernel/real"):
            for line, name in calls(s, LIBM + [name + "f" for name in LIBM]):
                yield s.path, line, f"{name}() of the C library has other bits elsewhere: real.h"
        # The sandbox writes where no file of ours is: control groups, /proc, inside of boxes.
        if s.room != "base" and not s.path.startswith("src/arena/sandbox_"):
            for found in re.finditer(r"\bfopen\s*\([^;]*\"[rwa]b?[+]|\bfopen\s*\([^;]*\"[wa]|"
                                     r"\bO_(WRONLY|RDWR|CREAT)\b", s.no_comments):
                line = line_at(s.no_comments, found.start())
                yield s.path, line, "files are written by base/file.h only"


def includes(source):
    for found in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', source.no_comments, re.M):
        yield line_at(source.no_comments, found.start()), found.group(1)


def rule_rooms(tree):
    for s in tree.sources:
        if s.room not in ROOMS:
            continue
        for line, path in includes(s):
            other = path.split("/")[0]
            if other in ROOMS and ROOMS.index(other) > ROOMS.index(s.room):
                yield s.path, line, f"{s.room} includes {path}: a room below it"


def recipes(tree):
    return "".join(s.text for s in tree.sources
                   if s.path.endswith((".cmake", "CMakeLists.txt", ".sh")))


def rule_dead(tree):
    used = set()
    for s in tree.sources:
        for _, path in includes(s) if s.is_c else ():
            used |= {f"src/{path}", f"tests/{path}",
                     f"{os.path.dirname(s.path)}/{path}"} - {s.path}
    built = re.compile(r"src/(" + "|".join(ROOMS) + r")/[^/]+\.c|src/kernel/lanes/[^/]+\.c|"
                       r"tests/(" + "|".join(ROOMS) + r")/test_[^/]+\.c|"
                       r"tests/arena/attacks/[^/]+\.c|"
                       r"(bench/arena/)?levels/[^/]+/(reference|wrong)/[^/]+\.c")
    named = recipes(tree)
    for s in tree.sources:
        if s.path in named or s.path in used:
            continue
        if s.path.endswith(".c") and not built.fullmatch(s.path):
            yield s.path, 1, "dead: nothing builds it"
        if s.path.endswith(".h"):
            yield s.path, 1, "dead: nothing includes it"


def rule_guards(tree):
    for s in tree.sources:
        if not s.path.endswith(".h"):
            continue
        name = re.sub(r"^src/", "", s.path)
        guard = "BV_" + re.sub(r"\W", "_", name).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in s.text:
            yield s.path, 1, f"the guard is not {guard}"


def rule_headers(tree):
    named = recipes(tree)  # with flags of its own, and compiled there
    headers = [s.path for s in tree.sources if s.path.endswith(".h") and s.path not in named]

    def compile_alone(path):
        command = [os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-DBV_LEVEL=c", "-Wall",
                   "-Werror", "-Isrc", "-Itests", "-fsyntax-only", "-xc", "-"]
        done = subprocess.run(command, cwd=tree.folder, input=f'#include "{path}"\n', text=True,
                              capture_output=True, check=False)
        return path, done.returncode, done.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, code, complaint in pool.map(compile_alone, headers):
            if code:
                errors = [line for line in complaint.split("\n") if "error" in line]
                yield path, 1, "does not compile alone: " + (errors or [complaint])[0]


def rule_docs(tree):
    tops = "src|tests|docs|scripts|cmake|bench|levels|web|[.]ci"
    for s in tree.sources:
        if s.path != "README.md" and not re.fullmatch(r"docs/[^/]+\.md", s.path):
            continue
        for found in re.finditer(rf"`((?:{tops})/[\w./*-]*)(?::\w+)?`", s.text):
            path = found.group(1)
            placeholder = re.search(r"\b[A-Z]{3,}\b|_[A-Z]{3,}\b", path.replace("README", ""))
            if not placeholder and not glob.glob(os.path.join(tree.folder, path)):
                yield s.path, line_at(s.text, found.start()), f"{path} does not exist"


def rule_kernels(tree):
    """Every kernel of a table (src/kernel/NAME.h: bv_NAME_kernels) has a test and a benchmark: both
    call it, or a function of its driver src/kernel/NAME.c does and they call the driver."""
    text = {s.path: s.bare for s in tree.sources if s.is_c}
    users = {"test": "".join(t for path, t in text.items() if path.startswith("tests/kernel/")),
             "benchmark": "".join(t for path, t in text.items()
                                  if path.startswith(("src/cli/bench_", "src/cli/cmd_bench")))}
    for path, header in sorted(text.items()):
        table = re.search(r"typedef struct bv_(\w+)_kernels \{(.*?)\} bv_\1_kernels;", header, re.S)
        if not path.startswith("src/kernel/") or not table:
            continue
        name = table.group(1)
        driver = text.get(f"src/kernel/{name}.c", "")
        for member in re.finditer(r"\(\*(\w+)\)\(", table.group(2)):
            call = re.compile(rf"->{member.group(1)}\b")
            for kind, calls_made in users.items():
                driven = call.search(driver) and f"bv_{name}_" in calls_made
                if not driven and not call.search(calls_made):
                    line = line_at(header, table.start(2) + member.start())
                    yield path, line, f"{name}->{member.group(1)} has no {kind}"


RULES = [rule_text, rule_unfinished, rule_length, rule_calls, rule_rooms, rule_dead, rule_guards,
         rule_headers, rule_docs, rule_kernels]


class Tree:
    def __init__(self, folder):
        self.folder = folder
        self.sources = [Source(folder, path) for path in find_files(folder)]


def check(folder):
    """All complaints about the project in a folder, as (path, line, rule, message)."""
    tree = Tree(folder)
    return [(path, line, rule.__name__[5:], message)
            for rule in RULES for path, line, message in rule(tree)]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    complaints = check(folder)
    for path, line, rule, message in complaints:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"tidy: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
