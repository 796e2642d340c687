/*
 * Only calls that have been in libpython for many versions are used, by name; nothing of its
 * headers is needed. Isolated as by python3 -I: no environment, no user's packages, no folder of
 * the script on the path.
 */
#include "arena/warm_python.h"

#include "base/library.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

static struct {
    void (*set_program_name)(const wchar_t *name);
    void (*initialize)(int signals);
    void (*after_fork)(void);
    int (*run_string)(const char *text, void *flags);
    int (*run_file)(FILE *file, const char *name, int close, void *flags);
    void *(*dict_new)(void);
    void *(*run_text)(const char *text, int start, void *globals, void *locals, void *flags);
} python;
#define FILE_INPUT 257 /* Py_file_input: a sequence of statements */

/* What programs of contests use most; it costs nothing to have it ready. */
static const char warm_up[] =
    "import bisect, collections, functools, gc, heapq, io, itertools, json, math, os, random, re\n"
    "import string, sys, typing\n"
    "gc.collect(); gc.freeze()\n";

/* A module of the program's own: the one that is there is frozen, and would outlive the program. */
static const char first_words[] = "import builtins, sys, types\n"
                                  "sys.argv = ['main.py']\n"
                                  "fresh = types.ModuleType('__main__')\n"
                                  "fresh.__builtins__, fresh.__annotations__ = builtins, {}\n"
                                  "sys.modules['__main__'] = fresh\n";

/* The end of an interpreter as a program sees it, in the order of Py_FinalizeEx: threads, atexit,
 * the program's own objects (whose files are written then), streams. What was there before the
 * program is not taken apart: that would copy every page of it. An exception says that a stream
 * failed. */
static const char last_words[] =
    "import sys\n"
    "if 'threading' in sys.modules: sys.modules['threading']._shutdown()\n"
    "import atexit, gc\n"
    "atexit._run_exitfuncs()\n"
    "sys.modules.pop('__main__', None)\n"
    "gc.collect()\n"
    "for stream in (sys.stdout, sys.stderr):\n"
    "    if stream is not None and not stream.closed: stream.flush()\n";

static void *open_library(void) {
    for (int minor = 20; minor >= 8; minor--) {
        char name[64];
        snprintf(name, sizeof name, "libpython3.%d.so.1.0", minor);
        void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
        if (library) return library;
    }
    return NULL;
}

/* The interpreter's streams are made now and used by a program later: they must be of the kind that
 * they will be then, pipes. Nobody reads or writes these. */
static bool open_streams(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return false;
    const bool done = dup2(ends[0], 0) == 0 && dup2(ends[1], 1) == 1 && dup2(ends[1], 2) == 2;
    close(ends[0]), close(ends[1]);
    return done;
}

bv_status bv_warm_python_start(void) {
    void *library = open_library();
    if (!library) return bv_fail(BV_CODE_USAGE, "there is no libpython3 on this machine");
    if (!bv_library_find(library, "Py_SetProgramName", &python.set_program_name) ||
        !bv_library_find(library, "Py_InitializeEx", &python.initialize) ||
        !bv_library_find(library, "PyOS_AfterFork_Child", &python.after_fork) ||
        !bv_library_find(library, "PyRun_SimpleStringFlags", &python.run_string) ||
        !bv_library_find(library, "PyRun_SimpleFileExFlags", &python.run_file) ||
        !bv_library_find(library, "PyDict_New", &python.dict_new) ||
        !bv_library_find(library, "PyRun_StringFlags", &python.run_text))
        return bv_fail(BV_CODE_USAGE, "this libpython3 lacks a call that warm interpreters need");
    int *isolated = dlsym(library, "Py_IsolatedFlag"),
        *plain = dlsym(library, "Py_NoUserSiteDirectory");
    int *deaf = dlsym(library, "Py_IgnoreEnvironmentFlag");
    if (isolated) *isolated = 1;
    if (plain) *plain = 1;
    if (deaf) *deaf = 1;
    if (!open_streams()) return bv_fail_errno("cannot make the streams of a warm interpreter");
    python.set_program_name(L"/usr/bin/python3");
    python.initialize(0);
    if (python.run_string(warm_up, NULL))
        return bv_fail(BV_CODE_USAGE, "the warm interpreter does not import its own library");
    return BV_OK;
}

void bv_warm_python_prepare(void) {
    if (python.after_fork) python.after_fork();
}

/* A program that calls sys.exit ends by exit(): what else was registered for the end of this
 * process is ours, and not for a guest to run. */
static void leave(int status, void *nothing) {
    (void)nothing;
    fflush(NULL);
    _exit(status);
}

int bv_warm_python_run(char **argv) {
    /* The file is the last word: "python3 -I main.py". */
    const char *name = "main.py";
    for (int i = 1; argv[i]; i++) name = argv[i];
    signal(SIGPIPE, SIG_IGN), signal(SIGXFSZ, SIG_IGN); /* as python3 has them */
    FILE *file = fopen(name, "r");
    if (!file) return 2;
    if (python.run_string(first_words, NULL)) return 2;
    if (on_exit(leave, NULL)) return 2;
    const int failed = python.run_file(file, name, 1, NULL);
    void *globals = python.dict_new();
    const bool clean = globals && python.run_text(last_words, FILE_INPUT, globals, globals, NULL);
    fflush(NULL);
    return failed ? 1 : clean ? 0 : 120;
}
