#!/usr/bin/env python3
"""The ratchet against slow regressions: instructions by function of small fixed work on one thread.

    ratchet.py FOLDER [--update]

FOLDER is the build (release). For each level of kernels that this CPU has, the instructions of each
workload are counted by callgrind, or by single steps where that knows no such instructions, and its
functions are compared with counts.txt beside this file: more than 2 % (and 100 instructions) above
it is a failure with the name of the function; so is a workload whose sum grew as much by new
functions. Counts depend on the compiler: those of another version than the
committed ones are not compared (exit 77). --update writes the counts of this compiler; those of
levels that this CPU lacks stay.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
COUNTS = os.path.join(HERE, "counts.txt")
LEVELS = ["c", "avx2", "avx512", "neon"]
EMULATED = ["c", "avx2", "neon"]  # by valgrind
STEPPING_SECONDS = 60
WORKLOADS = ["train-f32", "train-bf16", "generate-bf16", "encode"]
MORE, SLACK = 1.02, 100
SMALL = 500  # instructions that no line is worth


def compiler(folder):
    with open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8") as file:
        path = re.search(r"CMAKE_C_COMPILER:\w+=(.*)", file.read()).group(1)
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[0].strip()


def functions(program, path):
    """Writes the file that count_instructions reads."""
    done = subprocess.run(["nm", "-S", "--defined-only", program], capture_output=True, text=True,
                          check=True)
    with open(path, "w", encoding="utf-8") as out:
        for line in sorted(done.stdout.split("\n")):
            fields = line.split()
            if len(fields) == 4 and fields[2] in "tT":
                out.write(f"{fields[0]} {fields[1]} {clean(fields[3])}\n")


def measure(folder, level, workload, listing):
    """Counts by function, or None where the CPU has no such level or nothing can count it."""
    program = os.path.join(folder, "ratchet_workload")
    environment = {**os.environ, "BEAVER_CPU": level, "LD_BIND_NOW": "1"}
    plain = subprocess.run([program, workload], capture_output=True, text=True, env=environment,
                           check=False)
    if plain.returncode == 77:
        return None
    if plain.returncode:
        sys.exit(f"ratchet: {workload} at {level}: {plain.stderr.strip()}")
    if shutil.which("valgrind") and level in EMULATED:
        return by_callgrind(program, workload, environment)
    return by_steps(folder, program, workload, listing, environment)


def clean(name):
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv)\.?\d*|'\d+$", "", name)


def by_steps(folder, program, workload, listing, environment):
    try:
        done = subprocess.run([os.path.join(folder, "ratchet_count"), listing, program, workload],
                              capture_output=True, text=True, env=environment, check=False,
                              timeout=STEPPING_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"ratchet: {workload}: single steps are too slow on this machine: left out")
        return None
    if done.returncode:
        sys.exit(f"ratchet: {workload}: {done.stderr.strip()}")
    counts = {}
    for line in done.stdout.strip().split("\n"):
        count, name = line.split(" ", 1)
        if name != "(libraries)":
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def by_callgrind(program, workload, environment):
    """What callgrind counted from ratchet_begin to ratchet_end, without what called functions
    took. A line "calls=" is followed by one of those; names are numbered at their first use."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        subprocess.run(["valgrind", "--tool=callgrind", "--zero-before=ratchet_begin",
                        "--dump-before=ratchet_end", f"--callgrind-out-file={out}", program,
                        workload], capture_output=True, env=environment, check=True)
        with open(out + ".1", encoding="utf-8") as file:
            lines = file.read().split("\n")
    names, objects, counts = {}, {}, {}
    name, ours, called = "", False, False
    for line in lines:
        if line.startswith("ob="):
            ours = text_of(line, objects).endswith("ratchet_workload")
        elif line.startswith("fn="):
            name = clean(text_of(line, names))
        elif line.startswith("cfn="):
            text_of(line, names)
        elif line.startswith("cob="):
            text_of(line, objects)
        elif line.startswith("calls="):
            called = True
        elif re.match(r"[+*\d-]", line):
            if ours and not called:
                counts[name] = counts.get(name, 0) + int(line.split()[-1])
            called = False
    return counts


def text_of(line, known):
    """The text of "fn=(12) text" or of a later "fn=(12)"."""
    number, _, text = line.partition("=")[2].partition(" ")
    if text:
        known[number] = text
    return known.get(number, "")


def read():
    """{compiler: {(level, workload): {function: count}}}"""
    found, current = {}, None
    if os.path.exists(COUNTS):
        with open(COUNTS, encoding="utf-8") as file:
            for line in file:
                if line.startswith("compiler "):
                    current = found.setdefault(line[9:].strip(), {})
                elif line.strip() and not line.startswith("#"):
                    level, workload, count, name = line.split()
                    current.setdefault((level, workload), {})[name] = int(count)
    return found


def write(found):
    with open(COUNTS, "w", encoding="utf-8") as out:
        out.write("# Instructions by function: level, workload, count, function; written by\n"
                  "# tests/ratchet/ratchet.py build --update\n")
        for name, groups in sorted(found.items()):
            out.write(f"compiler {name}\n")
            for (level, workload), counts in sorted(groups.items()):
                for function, count in sorted(counts.items(), key=lambda x: (-x[1], x[0])):
                    if count >= SMALL or function == "total":
                        out.write(f"{level} {workload} {count} {function}\n")


def grown(now, before):
    return now > MORE * before + SLACK


def compare(key, now, before):
    """Complaints."""
    where = f"{key[1]} at {key[0]}"
    for name, count in sorted(now.items(), key=lambda x: -x[1]):
        if name in before and grown(count, before[name]):
            yield (f"{where}: {name} takes {count} instructions, not {before[name]}: "
                   f"{100 * (count / before[name] - 1):.1f} % more")


def main():
    folder, update = sys.argv[1], "--update" in sys.argv[2:]
    version, found = compiler(folder), read()
    if version not in found and not update:
        print(f"ratchet: skipped: no counts for \"{version}\". Remake them with: "
              f"tests/ratchet/ratchet.py {folder} --update")
        return 77
    known, complaints, checked = found.setdefault(version, {}), [], 0
    with tempfile.TemporaryDirectory() as scratch:
        listing = os.path.join(scratch, "functions")
        functions(os.path.join(folder, "ratchet_workload"), listing)
        for level in LEVELS:
            for workload in WORKLOADS:
                if workload == "encode" and level != "c":
                    continue
                now = measure(folder, level, workload, listing)
                if now is None:
                    break
                now["total"] = sum(now.values())
                if update:
                    known[level, workload] = now
                elif (level, workload) in known:
                    checked += 1
                    complaints += compare((level, workload), now, known[level, workload])
    if update:
        write(found)
        return 0
    for complaint in complaints:
        print("ratchet:", complaint)
    if complaints:
        print(f"ratchet: if it must be so: tests/ratchet/ratchet.py {folder} --update")
    print(f"ratchet: {checked} workloads, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
