#include "arena/level_scaffold.h"

#include "arena/level.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

typedef struct part {
    const char *name, *text;
} part;

static const part parts[] = {
    {"level.json", "{\n"
                   "  \"title\": \"Sum\",\n"
                   "  \"points\": 10,\n"
                   "  \"limits\": {\"cpu\": \"2s\", \"memory\": \"256M\"},\n"
                   "  \"tests\": {\"visible\": 1, \"hidden\": 10},\n"
                   "  \"generator\": \"generator.py\",\n"
                   "  \"seed\": 1,\n"
                   "  \"checker\": \"tokens\"\n"
                   "}\n"},
    {"statement.md", "Standard input has two whole numbers, each between -1000 and 1000.\n"
                     "Write their sum.\n"},
    {"tests/visible/1.in", "2 3\n"},
    {"tests/visible/1.out", "5\n"},
    {"generator.py",
     "\"\"\"Writes the input of a hidden test: generator.py SEED INDEX COUNT.\"\"\"\n"
     "import random\n"
     "import sys\n"
     "\n"
     "random.seed(int(sys.argv[1]))\n"
     "print(random.randint(-1000, 1000), random.randint(-1000, 1000))\n"},
    {"reference/sum.py", "a, b = map(int, input().split())\nprint(a + b)\n"},
    {"wrong/forgets-the-sign.py", "a, b = map(int, input().split())\nprint(abs(a) + abs(b))\n"},
};

static bv_status write_part(const char *folder, const part *p) {
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, p->name) >= sizeof path)
        return bv_fail(BV_CODE_INPUT, "the path %s is too long", folder);
    char *slash = strrchr(path, '/');
    *slash = 0;
    BV_TRY(bv_dir_make(path));
    *slash = '/';
    return bv_file_write(path, p->text, strlen(p->text));
}

static bv_status check_name(const char *folder) {
    char *name;
    bv_arena *arena = bv_arena_create();
    if (!arena) return bv_fail_memory("a name");
    bv_error *error = bv_level_name(arena, folder, &name);
    bv_arena_destroy(&arena);
    return error;
}

bv_status bv_level_scaffold(const char *folder) {
    if (bv_dir_exists(folder) || bv_path_taken(folder))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s exists", folder), "another name");
    BV_TRY(check_name(folder));
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < sizeof parts / sizeof *parts; i++)
        error = write_part(folder, &parts[i]);
    return error ? bv_first_error(error, bv_dir_remove(folder)) : BV_OK;
}
