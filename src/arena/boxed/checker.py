"""Runs in the checker's box: the tests, with a stand-in for the candidate's function.

A call of the stand-in goes over standard output to the candidate's box, the answer comes back on
standard input. An answer is bytes from a hostile program: it is read to a bounded length and depth,
and becomes plain values only, so nothing that the candidate wrote runs here. A call without a
well-formed answer ends the check as failed, even if the tests catch everything.

argv: a file of JSON with the members context (code before the tests, may be empty), test, entry
(the function's name) and call (the name of a function to call with the stand-in, or "").
Exit code: 0 passed, 1 failed, 3 the tests themselves are at fault. One line on standard error.
"""
import ast
import builtins
import collections
import importlib
import json
import os
import sys

ANSWER_BYTES_MAX = 4 << 20
DEPTH_MAX = 64
PASSED, FAILED, FAULT = 0, 1, 3

# StopIteration and its like would end loops of the tests early.
RAISABLE = {name: getattr(builtins, name) for name in (
    "ArithmeticError AssertionError AttributeError EOFError Exception ImportError IndexError "
    "KeyError LookupError MemoryError NameError NotImplementedError OSError OverflowError "
    "RecursionError RuntimeError TypeError UnicodeError ValueError ZeroDivisionError").split()}


class CandidateError(Exception):
    """Stands for an exception of the candidate that has no counterpart here."""


class NoAnswer(BaseException):
    """Not an Exception, so that tests do not take it for one of the candidate's."""


class NotPlain(BaseException):
    """The tests pass a value that cannot be sent."""


class Opaque:
    """A value that stays in the candidate's box: equal to nothing but itself."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"<{self.name}>"


# Types that may be sent by name.
TYPES = {cls: cls.__name__ for cls in (bool, bytes, complex, dict, float, frozenset, int, list, set,
                                       str, tuple)}


def finish(code, message):
    os.write(2, message.encode("utf-8", "replace")[:2000].replace(b"\n", b" ") + b"\n")
    os._exit(code)


def encode(value):
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if -2**63 <= value < 2**63 else {"int": hex(value)}
    if kind is float:
        return {"float": value.hex()}
    if kind is complex:
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is type and value in TYPES:
        return {"type": TYPES[value]}
    if kind is list:
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [{"tuple": [encode(key), encode(item)]} for key, item in value.items()]}
    if kind is range:
        return {"range": [encode(n) for n in (value.start, value.stop, value.step)]}
    for cls in (tuple, set, frozenset, collections.deque):
        if isinstance(value, cls):
            return {cls.__name__: [encode(item) for item in value]}
    if hasattr(value, "__next__"):
        return {"iterator": [encode(item) for item in value]}
    raise NotPlain(f"an argument is a {kind.__name__}, which cannot be sent to another process")


def decode(value, depth=0):
    """The value of an answer; ValueError or TypeError if it is not well-formed."""
    if depth > DEPTH_MAX:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [decode(item, depth + 1) for item in value]
    if isinstance(value, float):
        raise ValueError("a number that is not tagged")
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError("not a value")
    (kind, inner), = value.items()
    if kind in ("int", "float", "bytes", "opaque"):
        if not isinstance(inner, str):
            raise ValueError("not a text")
        return {"int": lambda text: int(text, 16), "float": float.fromhex,
                "bytes": bytes.fromhex, "opaque": Opaque}[kind](inner)
    if not isinstance(inner, list):
        raise ValueError("not a list")
    if kind == "complex":
        return complex(*[float.fromhex(part) for part in inner])
    items = decode(inner, depth)
    if kind == "range":
        return range(*items)
    return {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict,
            "deque": collections.deque, "iterator": iter,
            "keys": lambda keys: dict.fromkeys(keys).keys(),
            "values": lambda values: dict(enumerate(values)).values(),
            "items": lambda pairs: dict(pairs).items()}[kind](items)


class Candidate:
    """The other end of the pipes. Once broken, nothing makes it whole."""

    def __init__(self, calls, answers):
        self.calls, self.answers = calls, answers
        self.rest = b""
        self.broken = None

    def fail(self, why):
        self.broken = self.broken or why
        raise NoAnswer(self.broken)

    def read_line(self):
        parts, size = [self.rest], len(self.rest)
        while b"\n" not in parts[-1]:
            if size > ANSWER_BYTES_MAX:
                self.fail(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
            data = os.read(self.answers, 1 << 16)
            if not data:
                self.fail("no answer: the candidate ended")
            parts.append(data)
            size += len(data)
        line, _, self.rest = b"".join(parts).partition(b"\n")
        return line

    def read_answer(self, identity):
        try:
            message = json.loads(self.read_line())
            if message.pop("id") != identity:
                raise ValueError("not the answer to this call")
            if set(message) == {"value"}:
                return decode(message["value"]), None
            name, text = message["raise"], message["text"]
            if not isinstance(name, str) or not isinstance(text, str) or len(message) != 2:
                raise ValueError("neither a value nor an exception")
            return None, RAISABLE.get(name, CandidateError)(text)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError,
                OverflowError) as error:
            self.fail(f"an answer that is not well-formed: {error}")

    def call(self, name, args, named):
        if self.broken:
            raise NoAnswer(self.broken)
        identity = os.urandom(16).hex()
        message = {"id": identity, "call": name, "args": [encode(value) for value in args],
                   "named": {key: encode(value) for key, value in named.items()}}
        data = json.dumps(message).encode("ascii") + b"\n"
        try:
            while data:
                data = data[os.write(self.calls, data):]
        except OSError:
            self.fail("no answer: the candidate ended")
        value, error = self.read_answer(identity)
        if error:
            raise error
        return value


def import_modules(space, code):
    """Modules of the standard library that the tests name without importing them: their solutions
    do, in the process that they expect to share."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id not in space and not hasattr(builtins, node.id):
            if node.id in sys.stdlib_module_names:
                space[node.id] = importlib.import_module(node.id)


def check(task, candidate):
    """Runs the tests of a task; returns (exit code, message)."""
    def stand_in(*args, **named):
        return candidate.call(task["entry"], args, named)

    try:
        _, error = candidate.read_answer("load")
        if error:
            return FAILED, f"loading: {type(error).__name__}: {error}"
        space = {"__name__": "tests"}
        exec(compile(task["context"], "context.py", "exec"), space)
        import_modules(space, task["test"])
        space[task["entry"]] = stand_in
        exec(compile(task["test"], "tests.py", "exec"), space)
        if task["call"]:
            space[task["call"]](stand_in)
    except NotPlain as error:
        return FAULT, str(error)
    except AssertionError as error:
        return FAILED, f"a test failed{': ' + str(error) if str(error) else ''}"
    except BaseException as error:
        return FAILED, candidate.broken or f"{type(error).__name__}: {error}"
    if candidate.broken:
        return FAILED, candidate.broken
    return PASSED, "passed"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    calls, answers = os.dup(1), os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    finish(*check(task, Candidate(calls, answers)))


main()
