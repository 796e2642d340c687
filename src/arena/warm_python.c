/*
 * Only calls that have been in libpython for many versions are used, by name; nothing of its
 * headers is needed. Isolated as by python3 -I: no environment, no user's packages, no folder of
 * the script on the path.
 */
#include "arena/warm_python.h"

#include "base/buffer.h"
#include "base/library.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static struct {
    void (*set_program_name)(const wchar_t *name);
    void (*initialize)(int signals);
    void (*after_fork)(void);
    int (*run_string)(const char *text, void *flags);
    void *(*run_file)(FILE *file, const char *name, int start, void *globals, void *locals,
                      int close, void *flags);
    void *(*run_text)(const char *text, int start, void *globals, void *locals, void *flags);
    void *(*module)(const char *name);  /* borrowed */
    void *(*module_dict)(void *module); /* borrowed */
    void *(*dict_new)(void);
    void *(*dict_get)(void *dict, const char *key); /* borrowed */
    int (*dict_set)(void *dict, const char *key, void *value);
    void *(*decode)(const char *bytes, ssize_t size); /* as names of files are */
    long (*number)(void *object);
    void *(*error)(void); /* its type, borrowed */
    int (*error_is)(void *type);
    void (*error_fetch)(void **type, void **value, void **traceback);
    void (*error_normalize)(void **type, void **value, void **traceback);
    void (*error_print)(void);
    void (*error_clear)(void);
    void (*error_ignore)(void *in); /* says so */
    void *(*call)(void *object, const char *method, const char *format, ...);
    void (*take)(void *object);
    void (*drop)(void *object);
    void **system_exit, **keyboard_interrupt; /* types */
} python;
#define FILE_INPUT 257 /* Py_file_input: a sequence of statements */

/* Where each of these is found. */
static const struct {
    const char *name;
    void *to;
} calls[] = {
    {"Py_SetProgramName", &python.set_program_name},
    {"Py_InitializeEx", &python.initialize},
    {"PyOS_AfterFork_Child", &python.after_fork},
    {"PyRun_SimpleStringFlags", &python.run_string},
    {"PyRun_FileExFlags", &python.run_file},
    {"PyRun_StringFlags", &python.run_text},
    {"PyImport_AddModule", &python.module},
    {"PyModule_GetDict", &python.module_dict},
    {"PyDict_New", &python.dict_new},
    {"PyDict_GetItemString", &python.dict_get},
    {"PyDict_SetItemString", &python.dict_set},
    {"PyUnicode_DecodeFSDefaultAndSize", &python.decode},
    {"PyLong_AsLong", &python.number},
    {"PyErr_Occurred", &python.error},
    {"PyErr_ExceptionMatches", &python.error_is},
    {"PyErr_Fetch", &python.error_fetch},
    {"PyErr_NormalizeException", &python.error_normalize},
    {"PyErr_Print", &python.error_print},
    {"PyErr_Clear", &python.error_clear},
    {"PyErr_WriteUnraisable", &python.error_ignore},
    {"PyObject_CallMethod", &python.call},
    {"Py_IncRef", &python.take},
    {"Py_DecRef", &python.drop},
    {"PyExc_SystemExit", &python.system_exit},
    {"PyExc_KeyboardInterrupt", &python.keyboard_interrupt},
};

/* What programs of contests use most; it costs nothing to have it ready. */
static const char warm_up[] =
    "import bisect, collections, functools, gc, heapq, io, itertools, json, math, os, random, re\n"
    "import string, sys, typing\n"
    "gc.collect(); gc.freeze()\n";

/* A module of the program's own: the one that is there is frozen, and would outlive the program. */
static const char first_words[] =
    "import _frozen_importlib_external, builtins, os, sys, types\n"
    "sys.argv = ['main.py']\n"
    "fresh = types.ModuleType('__main__')\n"
    "fresh.__builtins__, fresh.__annotations__, fresh.__cached__ = builtins, {}, None\n"
    "fresh.__file__ = os.path.abspath('main.py')\n"
    "fresh.__loader__ = _frozen_importlib_external.SourceFileLoader('__main__', fresh.__file__)\n"
    "sys.modules['__main__'] = fresh\n";

/* os.environ was made of the slot's environment. `words` are the job's, each ended by a 0. */
static const char environment_words[] = "from os import environ\n"
                                        "environ.clear()\n"
                                        "for word in words.split('\\0'):\n"
                                        "    name, equals, value = word.partition('=')\n"
                                        "    if name and equals: environ[name] = value\n";

/* What a SystemExit says, read and written as CPython does: `end` is it, `status` the exit code. */
static const char exit_words[] =
    "import sys\n"
    "status = getattr(end, 'code', end)\n"
    "if status is None: status = 0\n"
    "elif isinstance(status, int): status = status & 255 if -1 << 63 <= status < 1 << 63 else 255\n"
    "else:\n"
    "    text, status = status, 1\n"
    "    stream = sys.__stderr__ if sys.stderr is None else sys.stderr\n"
    "    try: stream.write(str(text))\n"
    "    except BaseException: pass\n"
    "    try: stream.write('\\n')\n"
    "    except BaseException: sys.modules['os'].write(2, b'\\n')\n"
    "    del text, stream\n"
    "del end\n";

/* The end of an interpreter as a program sees it, in the order of Py_FinalizeEx: threads, atexit,
 * the program's own objects (whose files are written then); the streams that are flushed then. What
 * was there before the program is not taken apart: that would copy every page of it. */
static const char thread_words[] =
    "import atexit, sys\n"
    "if 'threading' in sys.modules: sys.modules['threading']._shutdown()\n";
static const char last_words[] =
    "import gc, sys\n"
    "sys.last_type = sys.last_value = sys.last_traceback = sys.last_exc = None\n"
    "sys.modules.pop('__main__', None)\n"
    "gc.collect()\n"
    "if sys.stdout is not None and not getattr(sys.stdout, 'closed', False): out = sys.stdout\n"
    "if sys.stderr is not None and not getattr(sys.stderr, 'closed', False): err = sys.stderr\n";

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
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!bv_library_find(library, calls[i].name, calls[i].to))
            return bv_fail(BV_CODE_USAGE, "this libpython3 lacks %s, which warm interpreters need",
                           calls[i].name);
    int *isolated = dlsym(library, "Py_IsolatedFlag"),
        *plain = dlsym(library, "Py_NoUserSiteDirectory");
    int *deaf = dlsym(library, "Py_IgnoreEnvironmentFlag");
    if (isolated) *isolated = 1;
    if (plain) *plain = 1;
    if (deaf) *deaf = 1;
    if (!open_streams()) return bv_fail_errno("cannot make the streams of a warm interpreter");
    if (setenv("LANG", "C.UTF-8", 1)) return bv_fail_memory("a warm interpreter"); /* as in a box */
    python.set_program_name(L"/usr/bin/python3");
    python.initialize(0);
    if (python.run_string(warm_up, NULL))
        return bv_fail(BV_CODE_USAGE, "the warm interpreter does not import its own library");
    return BV_OK;
}

void bv_warm_python_prepare(void) {
    if (python.after_fork) python.after_fork();
}

/* Who ends by exit() in spite of all: what else was registered for the end of this process is ours,
 * and not for a guest to run. */
static void leave(int status, void *nothing) {
    (void)nothing;
    fflush(NULL);
    _exit(status);
}

/* The exit code of a SystemExit, which is gone then: its traceback holds what the program had. */
static int take_exit(void *own) {
    void *type = NULL, *value = NULL, *traceback = NULL;
    python.error_fetch(&type, &value, &traceback);
    python.error_normalize(&type, &value, &traceback);
    const int put = value ? python.dict_set(own, "end", value) : -1;
    void *done = put ? NULL : python.run_text(exit_words, FILE_INPUT, own, own, NULL);
    if (!done) python.error_clear();
    void *const gone[] = {type, value, traceback, done};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (gone[i]) python.drop(gone[i]);
    void *status = done ? python.dict_get(own, "status") : NULL;
    return status ? (int)python.number(status) : 1;
}

/* Runs a file as the module __main__; the exit code it asks for. An interrupt that nobody caught is
 * told apart: it ends a process by its signal. */
static int run_main(FILE *file, const char *path, void *own, bool *interrupted) {
    void *module = python.module("__main__");
    void *globals = module ? python.module_dict(module) : NULL;
    *interrupted = false;
    if (!globals) return 2;
    python.take(module);
    void *result = python.run_file(file, path, FILE_INPUT, globals, globals, 1, NULL);
    int status = 0;
    if (result) {
        python.drop(result);
    } else if (python.error_is(*python.system_exit)) {
        status = take_exit(own);
    } else {
        *interrupted = python.error() == *python.keyboard_interrupt;
        python.error_print();
        status = 1;
    }
    python.drop(module);
    return status;
}

/* Whether all that was written has arrived. What is said of a broken stream is what CPython says.
 */
static bool end_interpreter(void *own) {
    if (!python.run_text(thread_words, FILE_INPUT, own, own, NULL)) python.error_clear();
    void *atexit = python.dict_get(own, "atexit");
    if (atexit && !python.call(atexit, "_run_exitfuncs", NULL)) python.error_clear();
    if (!python.run_text(last_words, FILE_INPUT, own, own, NULL)) python.error_clear();
    void *out = python.dict_get(own, "out"), *err = python.dict_get(own, "err");
    const bool out_done = !out || python.call(out, "flush", NULL);
    if (!out_done) python.error_ignore(out);
    const bool err_done = !err || python.call(err, "flush", NULL);
    if (!err_done) python.error_clear();
    fflush(NULL);
    return out_done && err_done;
}

static bool take_environment(char **env) {
    bv_buffer words = {0};
    void *own = python.dict_new();
    for (size_t i = 0; env[i]; i++) bv_buffer_append(&words, env[i], strlen(env[i]) + 1);
    bv_error *error = bv_buffer_error(&words);
    void *text = error ? NULL : python.decode(words.size ? words.data : "", (ssize_t)words.size);
    const bool put = own && text && python.dict_set(own, "words", text) == 0;
    void *done = put ? python.run_text(environment_words, FILE_INPUT, own, own, NULL) : NULL;
    void *const gone[] = {own, text, done};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (gone[i]) python.drop(gone[i]);
    bv_error_free(&error);
    bv_buffer_free(&words);
    return done != NULL;
}

/* The file is in the work folder, which is the current one, and the last word: "python3 -I
 * main.py". Its name is made absolute, as python3 does. */
int bv_warm_python_run(char **argv, char **env) {
    const char *name = "main.py";
    char path[PATH_MAX], folder[PATH_MAX];
    bool interrupted;
    for (int i = 1; argv[i]; i++) name = argv[i];
    signal(SIGPIPE, SIG_IGN), signal(SIGXFSZ, SIG_IGN); /* as python3 has them */
    FILE *file = fopen(name, "r");
    if (!file || !getcwd(folder, sizeof folder)) return 2;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 2;
    void *own = python.dict_new();
    if (!own || !take_environment(env) || python.run_string(first_words, NULL)) return 2;
    if (on_exit(leave, NULL)) return 2;
    const int status = run_main(file, path, own, &interrupted);
    const bool clean = end_interpreter(own);
    if (interrupted) signal(SIGINT, SIG_DFL), raise(SIGINT);
    return clean ? status : 120;
}
