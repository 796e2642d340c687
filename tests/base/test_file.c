#include "support/check.h"
#include "support/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *folder;

static int set_up(void **state) {
    (void)state;
    folder = make_folder();
    return chdir(folder);
}

static int tear_down(void **state) {
    (void)state;
    const int moved = chdir("/");
    remove_folder(folder);
    return moved;
}

static void assert_content(const char *path, const char *bytes, size_t size) {
    bv_buffer text = {0};
    assert_ok(bv_file_read(path, &text));
    assert_int_equal(text.size, size);
    if (size) assert_memory_equal(text.data, bytes, size);
    assert_int_equal(text.data[size], 0);
    bv_buffer_free(&text);
}

/* A rename would put a file where a link or a device was. */
static void test_write_through(void **state) {
    (void)state;
    char path[64], bytes[8] = "";
    struct stat s;
    int ends[2];
    assert_ok(bv_file_write("target", "before", 6));
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(symlink("new", "dangling"), 0);
    assert_ok(bv_file_write("link", "x", 1));
    assert_ok(bv_file_write("dangling", "y", 1));
    assert_true(lstat("link", &s) == 0 && S_ISLNK(s.st_mode));
    assert_content("target", "x", 1);
    assert_content("new", "y", 1);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    const int reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_ok(bv_file_write("fifo", "abc", 3));
    assert_int_equal(read(reader, bytes, sizeof bytes), 3);
    assert_true(lstat("fifo", &s) == 0 && S_ISFIFO(s.st_mode));
    close(reader);
    assert_ok(bv_file_write("/dev/null", "abc", 3));
    assert_true(lstat("/dev/null", &s) == 0 && S_ISCHR(s.st_mode));
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    assert_ok(bv_file_write(path, "abcd", 4));
    assert_int_equal(read(ends[0], bytes, sizeof bytes), 4);
    close(ends[0]), close(ends[1]);
    assert_fails(bv_file_write(path, "", 1), BV_CODE_IO, "Bad file descriptor");
    assert_fails(bv_file_write("/dev/full", "x", 1), BV_CODE_IO, "No space left");
}

/* What stands for an open descriptor goes on where that stands, and leaves it open. */
static void test_open_descriptors(void **state) {
    (void)state;
    char path[64];
    const int file = open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error = dup(STDERR_FILENO);
    assert_int_equal(write(file, "a", 1), 1);
    snprintf(path, sizeof path, "/dev/fd/%d", file);
    assert_ok(bv_file_write(path, "b", 1));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    assert_ok(bv_file_write(path, "c", 1));
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    bv_error *failed = bv_file_write("/dev/stderr", "d", 1);
    dup2(error, STDERR_FILENO);
    assert_ok(failed);
    snprintf(path, sizeof path, "/dev/fd/%d.txt", file); /* the name of a file that cannot be */
    assert_fails(bv_file_write(path, "x", 1), BV_CODE_IO, "cannot write /dev/fd/");
    assert_int_equal(write(file, "e", 1), 1);
    assert_content("f", "abcde", 5);
    close(file), close(error);
}

static void test_write_and_read(void **state) {
    (void)state;
    assert_ok(bv_file_write("a", "one", 3));
    assert_content("a", "one", 3);
    assert_ok(bv_file_write("a", "", 0));
    assert_content("a", "", 0);
    assert_true(bv_file_exists("a"));
    assert_false(bv_file_exists("."));
    assert_false(bv_dir_exists("a"));
    bv_buffer text = {0};
    bv_buffer_text(&text, "kept ");
    assert_ok(bv_file_write("a", "two", 3));
    assert_ok(bv_file_read("a", &text));
    assert_string_equal(text.data, "kept two");
    assert_fails(bv_file_read("absent", &text), BV_CODE_IO, "cannot open absent: No such file");
    assert_fails(bv_file_read(".", &text), BV_CODE_INPUT, "is a folder");
    assert_string_equal(text.data, "kept two");
    bv_buffer_clear(&text);
    assert_ok(bv_file_read("/proc/self/status", &text)); /* says that its size is 0 */
    assert_non_null(strstr(text.data, "Name:"));
    bv_buffer_clear(&text);
    assert_ok(bv_file_read("/dev/null", &text));
    assert_int_equal(text.size, 0);
    assert_fails(bv_file_read("/dev/zero", &text), BV_CODE_INPUT, "/dev/zero has no end");
    assert_int_equal(text.size, 0);
    bv_buffer_free(&text);
}

static void test_big_streams(void **state) {
    (void)state;
    const size_t size = (3u << 20) + 17;
    char *bytes = bv_malloc(size);
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(i * 2654435761u >> 13);
    bv_writer *writer;
    assert_ok(bv_writer_open("big", &writer));
    for (size_t at = 0, n = 1; at < size; at += n, n = n * 3 + 1) {
        if (n > size - at) n = size - at;
        assert_ok(bv_writer_write(writer, bytes + at, n));
    }
    assert_false(bv_file_exists("big"));
    assert_ok(bv_writer_commit(&writer));
    assert_null(writer);
    assert_content("big", bytes, size);
    bv_map map;
    assert_ok(bv_map_open("big", &map));
    assert_int_equal(map.size, size);
    assert_memory_equal(map.data, bytes, size);
    bv_map_close(&map);
    bv_map_close(&map);
    bv_free(bytes);
}

static void test_aborted_writes_leave_nothing(void **state) {
    (void)state;
    assert_ok(bv_file_write("kept", "old", 3));
    bv_writer *writer;
    assert_ok(bv_writer_open("kept", &writer));
    assert_ok(bv_writer_write(writer, "new", 3));
    assert_int_equal(names_in("."), 2);
    bv_writer_abort(&writer);
    bv_writer_abort(&writer);
    assert_int_equal(names_in("."), 1);
    assert_content("kept", "old", 3);
    assert_ok(bv_writer_open_in_place("half", &writer));
    assert_ok(bv_writer_write(writer, "new", 3));
    bv_writer_abort(&writer);
    assert_int_equal(names_in("."), 1);
}

static void test_maps(void **state) {
    (void)state;
    bv_map map;
    assert_ok(bv_file_write("empty", "", 0));
    assert_ok(bv_map_open("empty", &map));
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    bv_map_close(&map);
    assert_fails(bv_map_open("absent", &map), BV_CODE_IO, "absent");
    assert_fails(bv_map_open("/", &map), BV_CODE_INPUT, "is a folder");
    assert_int_equal(mkfifo("pipe", 0600), 0); /* and nobody is waited for who writes into it */
    assert_fails(bv_map_open("pipe", &map), BV_CODE_INPUT, "pipe is a pipe or a device");
}

static void test_map_of_a_file_cut_short(void **state) {
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 5 * page + 3;
    char *bytes = bv_malloc(size);
    bv_map map, other;
    memset(bytes, 'x', size);
    assert_ok(bv_file_write("long", bytes, size));
    assert_ok(bv_map_open("long", &map));
    assert_ok(bv_map_open("long", &other));
    assert_int_equal(truncate("long", (off_t)page + 1), 0);
    assert_int_equal(map.data[page], 'x');
    assert_ok(bv_map_check(&map, "long"));
    assert_int_equal(map.data[3 * page], 0);
    assert_int_equal(map.data[2 * page], 0);
    assert_int_equal(map.data[5 * page + 2], 0);
    assert_int_equal(map.data[0], 'x');
    assert_fails(bv_map_check(&map, "long"), BV_CODE_INPUT, "long was cut short");
    assert_ok(bv_map_check(&other, "long")); /* nobody read what it lost */
    bv_map_close(&map);
    bv_map_close(&other);
    bv_free(bytes);
}

static volatile char sink;

/* The signal that a child ends with. */
static int signal_of(void (*act)(void)) {
    const pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        act();
        _exit(0);
    }
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void read_beyond_a_file(void) {
    const int fd = open("short", O_RDONLY);
    const char *data = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0);
    sink = data[1 << 19];
}

static void signal_itself(void) {
    raise(SIGBUS);
}

/* Only maps of ours are mended. */
static void test_other_bus_errors(void **state) {
    (void)state;
    bv_map map;
    assert_ok(bv_file_write("short", "x", 1));
    assert_ok(bv_map_open("short", &map));
    assert_int_equal(signal_of(read_beyond_a_file), SIGBUS);
    assert_int_equal(signal_of(signal_itself), SIGBUS);
    bv_map_close(&map);
}

/* Each write-like call fails once: the error is reported, the old content stays whole (or, when
 * only the folder's last sync failed, the new one) and no temporary file is left. */
static void test_every_failed_system_call(void **state) {
    (void)state;
    int strikes = 0;
    for (int n = 0;; n++) {
        assert_ok(bv_file_write("f", "old", 3));
        faults_system_call(n, ENOSPC);
        bv_error *error = bv_file_write("f", "newer", 5);
        const bool struck = faults_off();
        if (!struck) {
            assert_ok(error);
            assert_content("f", "newer", 5);
            break;
        }
        strikes++;
        assert_fails(error, BV_CODE_IO, "No space left on device\n  try: free space");
        if (n < 4)
            assert_content("f", "old", 3);
        else
            assert_content("f", "newer", 5);
        assert_int_equal(names_in("."), 1);
    }
    assert_int_equal(strikes, 5); /* open, write, fsync, rename, fsync of the folder */
}

static void test_interrupted_calls_are_repeated(void **state) {
    (void)state;
    for (int n = 1; n < 3; n++) { /* write, fsync */
        faults_system_call(n, EINTR);
        bv_error *error = bv_file_write("f", "bytes", 5);
        assert_true(faults_off());
        assert_ok(error);
        assert_content("f", "bytes", 5);
    }
}

typedef struct files {
    bv_append *log;
    bv_lock *lock;
    bv_buffer text;
    char **names;
    size_t count;
} files;

static bv_status use_everything(files *f) {
    BV_TRY(bv_dir_make("x/y/z"));
    BV_TRY(bv_file_check_writable("x/y/z/f"));
    BV_TRY(bv_file_write("x/y/z/f", "new", 3));
    BV_TRY(bv_file_read("x/y/z/f", &f->text));
    BV_TRY(bv_append_open("x/log", &f->log));
    BV_TRY(bv_append_line(f->log, "line"));
    BV_TRY(bv_append_close(&f->log));
    BV_TRY(bv_lock_take("x/lock", &f->lock));
    BV_TRY(bv_dir_list("x", &f->names, &f->count));
    BV_TRY(bv_path_rename("x/y", "x/w"));
    return bv_dir_remove("x");
}

static bv_status everything(void) {
    files f = {0};
    bv_error *error = use_everything(&f), *second = bv_append_close(&f.log);
    bv_names_free(f.names, f.count);
    bv_buffer_free(&f.text);
    bv_lock_release(&f.lock);
    bv_error_free(&second);
    return error;
}

static void loop_over_everything(bool memory) {
    int strikes = 0;
    for (int n = 0;; n++, strikes++) {
        if (memory)
            faults_allocation(n);
        else
            faults_system_call(n, EIO);
        bv_error *error = everything();
        const bool struck = faults_off();
        const bv_code code = bv_error_code(error);
        bv_error_free(&error);
        assert_ok(bv_dir_remove("x"));
        assert_int_equal(code, !struck ? BV_CODE_OK : memory ? BV_CODE_MEMORY : BV_CODE_IO);
        if (!struck) break;
    }
    assert_in_range(strikes, 12, 200);
    assert_int_equal(names_in("."), 0);
}

static void test_everything_without_disk(void **state) {
    (void)state;
    loop_over_everything(false);
}

static void test_everything_without_memory(void **state) {
    (void)state;
    loop_over_everything(true);
}

/* The kernel's own refusal: files of at most 1 MiB, in a child, since the limit stays. */
static void test_file_size_limit(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, 1 << 20});
        static char bytes[3 << 20];
        bv_error *error = bv_file_write("limited", bytes, sizeof bytes);
        _exit(bv_error_code(error) == BV_CODE_IO && strstr(bv_error_text(error), "ulimit") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(names_in("."), 0);
}

/* Folders of one another whose path no system call would take. */
static void make_deep(void) {
    assert_ok(bv_dir_make("a/removed-1"));
    int folder = open("a", O_RDONLY | O_DIRECTORY);
    for (int depth = 0; depth < 3000; depth++) {
        assert_int_equal(mkdirat(folder, "d", 0700), 0);
        assert_int_equal(symlinkat("/", folder, "link"), 0);
        const int inner = openat(folder, "d", O_RDONLY | O_DIRECTORY);
        assert_true(inner >= 0);
        close(folder);
        folder = inner;
    }
    close(folder);
}

static void test_folders(void **state) {
    (void)state;
    assert_ok(bv_dir_make("a/b//c/"));
    assert_ok(bv_dir_make("a/b/c"));
    assert_true(bv_dir_exists("a/b/c"));
    assert_fails(bv_dir_make(""), BV_CODE_INPUT, "empty");
    assert_ok(bv_file_write("a/file", "x", 1));
    assert_fails(bv_dir_make("a/file/d"), BV_CODE_IO, "a/file");
    assert_ok(bv_file_write("a/b/z", "", 0));
    assert_ok(bv_file_write("a/b/Z", "", 0));
    char **names;
    size_t count;
    assert_ok(bv_dir_list("a/b", &names, &count));
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "Z");
    assert_string_equal(names[1], "c");
    assert_string_equal(names[2], "z");
    bv_names_free(names, count);
    assert_fails(bv_dir_list("absent", &names, &count), BV_CODE_IO, "cannot list absent");
    assert_ok(bv_dir_make("elsewhere"));
    assert_ok(bv_file_write("elsewhere/precious", "", 0));
    assert_int_equal(symlink("../elsewhere", "a/link"), 0);
    assert_ok(bv_dir_remove("a"));
    assert_ok(bv_dir_remove("a"));
    assert_false(bv_dir_exists("a"));
    assert_true(bv_file_exists("elsewhere/precious"));
    make_deep();
    assert_ok(bv_dir_remove("a"));
    assert_false(bv_dir_exists("a"));
    uint64_t bytes = 0;
    assert_ok(bv_file_free_space(".", &bytes));
    assert_true(bytes > 0);
    char *joined = bv_path_join("a", "b"), *root = bv_path_join("/", "b");
    char *nothing = bv_path_join("", "b");
    assert_string_equal(joined, "a/b");
    assert_string_equal(root, "/b");
    assert_string_equal(nothing, "b");
    bv_free(joined);
    bv_free(root);
    bv_free(nothing);
    assert_int_equal(bv_path_trimmed("a/b//"), 3);
    assert_int_equal(bv_path_trimmed("//"), 1);
    assert_int_equal(bv_path_trimmed(""), 0);
}

static void test_paths_in_place(void **state) {
    (void)state;
    char path[BV_PATH_SIZE], folder[BV_PATH_SIZE];
    assert_ok(bv_path_in(path, "a/", "b"));
    assert_string_equal(path, "a/b");
    assert_ok(bv_path_in(path, "", "b"));
    assert_string_equal(path, "b");
    memset(folder, 'x', sizeof folder);
    folder[sizeof folder - 3] = 0; /* with "/b" as long as may be */
    assert_ok(bv_path_in(path, folder, "b"));
    assert_int_equal(strlen(path), sizeof path - 1);
    assert_fails(bv_path_in(path, folder, "bc"), BV_CODE_USAGE, "the path is too long: xxx");
}

static void test_appended_lines(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        bv_append *log;
        assert_ok(bv_append_open("log", &log));
        assert_ok(bv_append_line(log, i ? "two" : "one"));
        assert_ok(bv_append_close(&log));
        assert_null(log);
    }
    assert_content("log", "one\ntwo\n", 8);
}

/* One that executes another program, in which nothing of ours is open any more. */
static pid_t start_sleeper(void) {
    int executed[2];
    char byte;
    assert_int_equal(pipe2(executed, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/sleep", "sleep", "60", NULL);
        _exit(1);
    }
    close(executed[1]);
    assert_int_equal(read(executed[0], &byte, 1), 0);
    close(executed[0]);
    return child;
}

static void test_locks(void **state) {
    (void)state;
    bv_lock *mine, *second;
    char pid[32];
    snprintf(pid, sizeof pid, "process %d\n", (int)getpid());
    assert_ok(bv_file_write("lock", "9999999999999", 13)); /* of a longer number nothing is left */
    assert_ok(bv_lock_take("lock", &mine));
    assert_fails(bv_lock_take("lock", &second), BV_CODE_USAGE, pid);
    assert_null(second);
    const pid_t sleeper = start_sleeper();
    bv_lock_release(&mine);
    assert_null(mine);
    assert_ok(bv_lock_take("lock", &second));
    bv_lock_release(&second);
    bv_lock_release(&second);
    kill(sleeper, SIGKILL);
    waitpid(sleeper, NULL, 0);
}

/* A file by any of its names, and what is not there by the same name only. */
static void test_apart(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", NULL};
    assert_ok(bv_dir_make("d"));
    assert_ok(bv_file_write("d/a", "", 0));
    assert_ok(bv_file_write("other", "", 0));
    assert_int_equal(link("d/a", "again"), 0);
    assert_fails(bv_file_check_apart("again", "d/a"), BV_CODE_USAGE, "would replace what is read");
    assert_ok(bv_file_check_apart("other", "d/a"));
    assert_ok(bv_file_check_apart("none", "d/a"));
    assert_ok(bv_file_check_apart("/dev/null", "/dev/null")); /* which nothing replaces */
    assert_fails(bv_file_check_apart_from("again", "d", names), BV_CODE_USAGE, "belongs to d");
    assert_fails(bv_file_check_apart_from("d/b", "d", names), BV_CODE_USAGE, "belongs to d");
    assert_ok(bv_file_check_apart_from("d/c", "d", names));
    assert_ok(bv_file_check_apart_from("b", "d", names));
}

static void test_a_look_before_writing(void **state) {
    (void)state;
    assert_ok(bv_file_check_writable("new"));
    assert_int_equal(names_in("."), 0);
    assert_ok(bv_file_write("f", "old", 3));
    assert_ok(bv_file_check_writable("f"));
    assert_content("f", "old", 3);
    assert_ok(bv_dir_make("d"));
    assert_fails(bv_file_check_writable("d"), BV_CODE_INPUT, "d: it is a folder, not a file");
    assert_fails(bv_file_check_writable("none/f"), BV_CODE_IO, "cannot write none/f");
    assert_fails(bv_file_check_writable("f/g"), BV_CODE_IO, "cannot write f/g");
    assert_int_equal(names_in("."), 2);
}

static mode_t kind_of(const char *path) {
    struct stat s;
    return lstat(path, &s) == 0 ? s.st_mode & S_IFMT : 0;
}

/* As root, a rename would take /dev/null away from everybody. */
static bv_status begin_writing(const char *path) {
    bv_writer *writer;
    BV_TRY(bv_writer_open(path, &writer));
    bv_writer_abort(&writer);
    return BV_OK;
}

static void test_only_files_are_replaced(void **state) {
    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(symlink("/dev/null", "device"), 0);
    assert_int_equal(symlink("missing", "link"), 0);
    assert_fails(begin_writing("pipe"), BV_CODE_INPUT, "is a pipe or a device, not a file");
    assert_fails(begin_writing("device"), BV_CODE_INPUT, "try: the name of a file");
    assert_ok(bv_file_write("device", "x", 1));
    assert_fails(bv_file_check_writable("device"), BV_CODE_INPUT, "is a pipe or a device");
    assert_true(bv_path_taken("pipe") && bv_path_taken("device") && bv_path_taken("link"));
    assert_false(bv_path_taken("missing"));
    assert_ok(bv_dir_make("empty"));
    assert_int_equal(symlink("empty", "to_empty"), 0);
    assert_false(bv_path_taken("empty") || bv_path_taken("empty//"));
    assert_true(bv_path_taken("to_empty") && bv_path_taken("to_empty//"));
    assert_int_equal(unlink("to_empty"), 0);
    assert_ok(bv_dir_remove("empty"));
    assert_int_equal(kind_of("pipe"), S_IFIFO);
    assert_int_equal(kind_of("device"), S_IFLNK);
    assert_int_equal(names_in("."), 3);
    assert_ok(bv_file_write("link", "x", 1));
    assert_content("link", "x", 1);
}

static void test_free_space(void **state) {
    (void)state;
    uint64_t here, there;
    char *folder = make_folder(), path[4200];
    snprintf(path, sizeof path, "%s/not/there/yet", folder);
    assert_ok(bv_file_free_space(folder, &here));
    assert_ok(bv_file_free_space(path, &there));
    assert_true(here > 0 && there > 0);
    assert_ok(bv_file_free_space("not-there", &there));
    assert_ok(bv_file_free_space("/not-there/x", &there));
    remove_folder(folder);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_write_and_read),
        TEST(test_write_through),
        TEST(test_big_streams),
        TEST(test_aborted_writes_leave_nothing),
        TEST(test_maps),
        TEST(test_map_of_a_file_cut_short),
        TEST(test_other_bus_errors),
        TEST(test_every_failed_system_call),
        TEST(test_interrupted_calls_are_repeated),
        TEST(test_everything_without_disk),
        TEST(test_everything_without_memory),
        TEST(test_file_size_limit),
        TEST(test_folders),
        TEST(test_paths_in_place),
        TEST(test_appended_lines),
        TEST(test_locks),
        TEST(test_apart),
        TEST(test_open_descriptors),
        TEST(test_a_look_before_writing),
        TEST(test_only_files_are_replaced),
        cmocka_unit_test(test_free_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
