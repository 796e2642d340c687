/*
 * Counts the instructions that a program executes, by function, by single-stepping it:
 *
 *     count_instructions FUNCTIONS PROGRAM [ARGUMENT...]
 *
 * Works for every instruction set that the CPU has, which no emulator does, and needs no counters
 * of the hardware; 30,000 (in some virtual machines) to 300,000 instructions a second. FUNCTIONS is
 * a file of lines "ADDRESS SIZE NAME" (hexadecimal; from nm), addresses as linked; the program is
 * loaded where the kernel puts it without randomization. Counting begins at the function
 * "ratchet_begin" and ends at "ratchet_end", which the program calls; what runs outside the list
 * counts as "(libraries)". Prints "COUNT NAME", and exits as the program does. One thread only.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUNCTIONS_MAX 20000
#define NAME_SIZE 120
#define NT_PRSTATUS 1

typedef struct function {
    uint64_t begin, end, count;
    char name[NAME_SIZE];
} function;

static function list[FUNCTIONS_MAX];
static size_t list_size;

static void fail(const char *what) {
    fprintf(stderr, "count_instructions: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int by_address(const void *a, const void *b) {
    const function *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static void read_functions(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    function f = {0};
    while (list_size < FUNCTIONS_MAX &&
           fscanf(file, "%" SCNx64 " %" SCNx64 " %119s", &f.begin, &f.end, f.name) == 3) {
        f.end += f.begin;
        list[list_size++] = f;
    }
    fclose(file);
    qsort(list, list_size, sizeof *list, by_address);
}

static uint64_t address_of(const char *name) {
    for (size_t i = 0; i < list_size; i++)
        if (!strcmp(list[i].name, name)) return list[i].begin;
    errno = 0;
    fail(name);
    return 0;
}

/* The function at an address of the linked program; consecutive ones are mostly the same. */
static function *find(uint64_t at) {
    static function *last;
    if (last && at >= last->begin && at < last->end) return last;
    size_t low = 0, high = list_size;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (list[middle].begin <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || at >= list[low - 1].end) return NULL;
    return last = &list[low - 1];
}

static uint64_t program_counter(pid_t child) {
    struct user_regs_struct registers;
    struct iovec into = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, child, (void *)(uintptr_t)NT_PRSTATUS, &into) != 0)
        fail("reading registers");
#ifdef __x86_64__
    return registers.rip;
#else
    return registers.pc;
#endif
}

/* Where the program was loaded: the first line of its map. */
static uint64_t base_of(pid_t child) {
    char path[64];
    uint64_t base = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%" SCNx64, &base) != 1) fail(path);
    fclose(file);
    return base;
}

/* One step, or on to the next signal. False when the program has ended. */
static bool go_on(pid_t child, int how, int *status) {
    if (ptrace(how, child, NULL, NULL) != 0) fail("stepping");
    if (waitpid(child, status, 0) != child) fail("waiting");
    return !WIFEXITED(*status) && !WIFSIGNALED(*status);
}

static uint64_t instruction_size(void) {
#ifdef __x86_64__
    return 1; /* of the breakpoint, where the program counter stands behind it */
#else
    return 0;
#endif
}

/* Runs at full speed to an address: a breakpoint stands there meanwhile. */
static bool run_to(pid_t child, uint64_t address, int *status) {
#ifdef __x86_64__
    const uint64_t mask = 0xff, trap = 0xcc;
#else
    const uint64_t mask = 0xffffffff, trap = 0xd4200000; /* brk #0 */
#endif
    errno = 0;
    const uint64_t word = (uint64_t)ptrace(PTRACE_PEEKTEXT, child, (void *)address, NULL);
    if (errno) fail("reading the program");
    ptrace(PTRACE_POKETEXT, child, (void *)address, (void *)((word & ~mask) | trap));
    bool alive = go_on(child, PTRACE_CONT, status);
    if (!alive) return false;
    if (program_counter(child) - instruction_size() != address) return false;
    ptrace(PTRACE_POKETEXT, child, (void *)address, (void *)word);
    struct user_regs_struct registers;
    struct iovec into = {&registers, sizeof registers};
    ptrace(PTRACE_GETREGSET, child, (void *)(uintptr_t)NT_PRSTATUS, &into);
#ifdef __x86_64__
    registers.rip = address;
#endif
    return ptrace(PTRACE_SETREGSET, child, (void *)(uintptr_t)NT_PRSTATUS, &into) == 0;
}

static uint64_t count(pid_t child, uint64_t base, int *status) {
    const uint64_t end = address_of("ratchet_end");
    uint64_t outside = 0;
    if (!run_to(child, base + address_of("ratchet_begin"), status)) return 0;
    for (;;) {
        if (!go_on(child, PTRACE_SINGLESTEP, status)) return outside;
        const uint64_t at = program_counter(child) - base;
        if (at == end) break;
        function *f = find(at);
        if (f)
            f->count++;
        else
            outside++;
    }
    go_on(child, PTRACE_CONT, status);
    return outside;
}

int main(int argc, char **argv) {
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: count_instructions FUNCTIONS PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    read_functions(argv[1]);
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        personality(ADDR_NO_RANDOMIZE);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[2], argv + 2);
        fail(argv[2]);
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("starting the program");
    const uint64_t outside = count(child, base_of(child), &status);
    for (size_t i = 0; i < list_size; i++)
        if (list[i].count) printf("%" PRIu64 " %s\n", list[i].count, list[i].name);
    printf("%" PRIu64 " (libraries)\n", outside);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
