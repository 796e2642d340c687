#!/usr/bin/env python3
"""Plants one violation at a time in a clean tree; tidy must find each, and nothing in the clean
one."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402  (beside this file)

CLEAN = {
    "README.md": "See `src/base/a.h`, `src/base/*.c`, `src/cli/cmd_NAME.c` and `build/beaver`.\n",
    "docs/design.md": "The function `src/base/a.c:bv_a` is short.\n",
    "src/base/a.h": "#ifndef BV_BASE_A_H\n#define BV_BASE_A_H\nint bv_a(void);\n#endif\n",
    "src/base/a.c": '#include "base/a.h"\n\nint bv_a(void) {\n    return 1;\n}\n',
    "src/base/memory.c": "#include <stdlib.h>\n\nvoid *bv_m(void) {\n    return malloc(1);\n}\n",
    "src/kernel/real.c": "#include <math.h>\n\ndouble bv_e(double x) {\n    return exp(x);\n}\n",
    "src/train/t.c": '#include "base/a.h"\n\nstatic const char s[] = "strcpy(x), // malloc(1)";\n',
    "tests/base/test_a.c": '#include "base/a.h"\n\nint main(void) {\n    return bv_a() - 1;\n}\n',
    "tests/tidy/ratchet.txt": "# none\n",
}


def function(name, lines):
    return f"int {name}(void) {{\n" + "    ;\n" * (lines - 3) + "    return 0;\n}\n"


LONG = function("bv_long", 75)
# (rule, path, content or what is added, part of the message)
PLANTED = [
    ("text", "src/base/a.c", "+/* " + "x" * 100 + " */\n", "106 columns"),
    ("text", "src/base/a.c", "+int\tb;\n", "a tab"),
    ("text", "README.md", "+words \n", "blanks at the end"),
    ("text", "src/base/a.c", "+int b;", "no newline"),
    ("text", "src/base/a.c", "+\n", "an empty line"),
    ("unfinished", "src/base/a.c", "+/* TO" "DO: all of it */\n", "finish it"),
    ("unfinished", "tests/cli/x.sh", "# FIX" "ME\n", "finish it"),
    ("length", "src/base/b.c", LONG, "src/base/b.c:bv_long has 75 lines (at most 70)"),
    ("length", "src/base/b.c", "static int x;\n" * 801, "src/base/b.c has 801 lines"),
    ("length", "tests/tidy/ratchet.txt", "src/base/a.c:gone 80\n", "there is no such"),
    ("length", "tests/tidy/ratchet.txt", "src/base/a.c:bv_a 80\n", "no longer needed"),
    ("calls", "src/base/a.c", "+void *bv_b(void) {\n    return malloc(1);\n}\n", "malloc()"),
    ("calls", "src/train/t.c", "+void bv_b(char *p) {\n    free(p);\n}\n", "use bv_free"),
    ("calls", "src/train/t.c", "+void b(char *p) {\n    json_loads(p, 0);\n}\n", "bv_json_parse"),
    ("calls", "tests/base/test_a.c", "+int b(char *p) {\n    return atoi(p);\n}\n", "atoi()"),
    ("calls", "src/base/a.c", "+void b(char *p) {\n    strcpy(p, p);\n}\n", "strcpy()"),
    ("calls", "src/train/t.c", "+float b(float x) {\n    return tanhf(x);\n}\n", "tanhf()"),
    ("calls", "src/train/t.c", '+void *b(void) {\n    return fopen("x", "wb");\n}\n', "written by"),
    ("calls", "src/train/t.c", "+int b(void) {\n    return O_CREAT;\n}\n", "written by"),
    ("rooms", "src/base/a.c", '+#include "train/t.h"\n', "base includes train/t.h"),
    ("dead", "src/base/old/x.c", "int x;\n", "nothing builds it"),
    ("dead", "src/attic/x.c", "int x;\n", "nothing builds it"),
    ("dead", "src/data/old/x.c", "int x;\n", "nothing builds it"),
    ("dead", "tests/base/helper.c", "int x;\n", "nothing builds it"),
    ("dead", "src/base/b.h", "#ifndef BV_BASE_B_H\n#define BV_BASE_B_H\n#endif\n", "includes it"),
    ("guards", "src/base/a.h", "#ifndef A_H\n#define A_H\n#endif\n", "BV_BASE_A_H"),
    ("headers", "src/base/a.h", "#ifndef BV_BASE_A_H\n#define BV_BASE_A_H\nsize_t bv_a(void);\n"
     "#endif\n", "does not compile alone"),
    ("docs", "README.md", "+`src/base/gone.c`\n", "src/base/gone.c does not exist"),
    ("docs", "docs/design.md", "+`tests/*.py`\n", "tests/*.py does not exist"),
    ("kernels", "src/kernel/n.h", "typedef struct bv_n_kernels {\n    void (*run)(int x);\n"
     "} bv_n_kernels;\n", "n->run has no test"),
    ("kernels", "src/kernel/n.h", "typedef struct bv_n_kernels {\n    void (*run)(int x);\n"
     "} bv_n_kernels;\n", "n->run has no benchmark"),
]
# The same long function, with its length in the ratchet: legal only while exact.
RATCHETED = [(75, None), (74, "has 75 lines (at most 74)"), (80, "now 75: lower it")]


def complaints(files):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            whole = os.path.join(folder, path)
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            with open(whole, "w", encoding="utf-8") as file:
                file.write(text)
        return tidy.check(folder)


def main():
    failures = [f"the clean tree: {c}" for c in complaints(CLEAN)]
    for rule, path, text, part in PLANTED:
        files = dict(CLEAN)
        files[path] = files.get(path, "") + text[1:] if text.startswith("+") else text
        found = complaints(files)
        if not any(c[2] == rule and part in c[3] for c in found):
            failures.append(f"not found: {rule} \"{part}\" in {path}; found {found}")
    for length, part in RATCHETED:
        files = dict(CLEAN, **{"src/base/b.c": LONG,
                               "tests/tidy/ratchet.txt": f"src/base/b.c:bv_long {length}\n"})
        found = complaints(files)
        if (part is None and found) or (part and not any(part in c[3] for c in found)):
            failures.append(f"ratchet {length}: expected {part}; found {found}")
    print("\n".join(failures + [f"{len(PLANTED) + len(RATCHETED) + 1} trees checked"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
