"""The texts of the benchmarks: English books and Python, made once in the cache; Shakespeare."""
import lzma
import os
import sysconfig

from harness import CACHE

PYTHON_BYTES = 40_000_000


def english():
    """A path: books of $BEAVER_DATA, else the documentation of Python (python3-doc), else None."""
    path = os.path.join(CACHE, "books.txt")
    packed = os.path.join(os.environ.get("BEAVER_DATA", ""), "text", "books-92.txt.xz")
    if not os.path.exists(path) and os.path.exists(packed):
        with lzma.open(packed) as file:
            write(path, file.read())
    return path if os.path.exists(path) else collect("english.txt", "/usr/share/doc", ".rst.txt")


def python():
    """Python's own library and what is installed beside it, in the order of the names."""
    return collect("python.txt", sysconfig.get_paths()["stdlib"], ".py")


def shakespeare():
    """tinyshakespeare.txt of $BEAVER_DATA, or None."""
    path = os.path.join(os.environ.get("BEAVER_DATA", ""), "text", "tinyshakespeare.txt")
    return path if os.path.exists(path) else None


def collect(name, folder, ending):
    path = os.path.join(CACHE, name)
    if os.path.exists(path):
        return path
    parts, size = [], 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for file_name in sorted(names):
            if not file_name.endswith(ending) or size >= PYTHON_BYTES:
                continue
            with open(os.path.join(parent, file_name), "rb") as file:
                data = file.read()
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                continue
            parts.append(data)
            size += len(data)
    if size < 1_000_000:
        return None
    write(path, b"".join(parts))
    return path


def write(path, data):
    os.makedirs(CACHE, exist_ok=True)
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)
