"""Runs in the candidate's box: loads the solution and answers calls of its functions.

Reads one call a line from standard input, writes one answer a line to standard output (the format
stands in docs/levels.md). Nothing here is trusted: the solution shares this process and may write
whatever it likes. The checker believes no line, it only reads values, and what it compares them
with was never here.
"""
import builtins
import collections
import json
import os
import sys
import types

DEPTH_MAX = 60        # of nested containers
ITEMS_MAX = 200_000   # in one answer
VIEWS = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}


class TooLarge(Exception):
    pass


class Encoder:
    """A Python value as plain JSON values; what JSON lacks is an object of one member, its kind."""

    def __init__(self):
        self.items = 0

    def many(self, values, depth):
        out = []
        for value in values:
            self.items += 1
            if self.items > ITEMS_MAX:
                raise TooLarge(f"more than {ITEMS_MAX} items")
            out.append(self.encode(value, depth + 1))
        return out

    def encode(self, value, depth=0):
        if depth > DEPTH_MAX:
            raise TooLarge(f"nested deeper than {DEPTH_MAX}")
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            value = int(value)
            return value if -2**63 <= value < 2**63 else {"int": hex(value)}
        if isinstance(value, float):
            return {"float": float.hex(value)}
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, complex):
            return {"complex": [value.real.hex(), value.imag.hex()]}
        if isinstance(value, (bytes, bytearray)):
            return {"bytes": value.hex()}
        if isinstance(value, list):
            return self.many(value, depth)
        if isinstance(value, dict):
            pairs = ((key, item) for key, item in dict.items(value))
            return {"dict": self.many(pairs, depth)}
        for kind, cls in (("tuple", tuple), ("set", set), ("frozenset", frozenset),
                          ("deque", collections.deque), *VIEWS.items()):
            if isinstance(value, cls):
                return {kind: self.many(value, depth)}
        if isinstance(value, range):
            return {"range": [self.encode(n) for n in (value.start, value.stop, value.step)]}
        if hasattr(type(value), "__next__"):
            return {"iterator": self.many(value, depth)}
        return {"opaque": type(value).__name__}


def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, inner), = value.items()
    if kind == "int":
        return int(inner, 16)
    if kind == "float":
        return float.fromhex(inner)
    if kind == "complex":
        return complex(*map(float.fromhex, inner))
    if kind == "bytes":
        return bytes.fromhex(inner)
    if kind == "type":
        return getattr(builtins, inner)
    if kind == "dict":
        return {decode(pair["tuple"][0]): decode(pair["tuple"][1]) for pair in inner}
    if kind == "range":
        return range(*decode(inner))
    make = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque,
            "iterator": iter}[kind]
    return make(decode(inner))


def describe(error):
    return {"raise": type(error).__name__, "text": str(error)[:500]}


def answer(space, call):
    try:
        function = space[call["call"]]
        args = [decode(value) for value in call["args"]]
        named = {name: decode(value) for name, value in call["named"].items()}
        return {"value": Encoder().encode(function(*args, **named))}
    except Exception as error:  # the caller decides what an exception means
        return describe(error)


def private_channels():
    """The pipes, under other numbers; the solution's own input and output lead nowhere."""
    calls, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    return os.fdopen(calls, "r", encoding="ascii"), os.fdopen(answers, "w", encoding="ascii")


def main():
    path = sys.argv[1]
    calls, answers = private_channels()

    def say(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        with open(path, encoding="utf-8") as file:
            code = compile(file.read(), "solution.py", "exec")
        exec(code, module.__dict__)
    except BaseException as error:
        say({"id": "load", **describe(error)})
        return
    say({"id": "load", "value": None})
    for line in calls:
        call = json.loads(line)
        say({"id": call["id"], **answer(module.__dict__, call)})


main()
