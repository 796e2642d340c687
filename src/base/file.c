#include "base/file.h"

#include "base/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bv_io_hook *io_hook;
static void *io_hook_context;

void bv_io_hook_set(bv_io_hook *hook, void *context) {
    io_hook = hook;
    io_hook_context = context;
}

/* False, with errno set, when the hook wants this call to fail. */
static bool allowed(const char *call, const char *path) {
    const int number = io_hook ? io_hook(io_hook_context, call, path) : 0;
    if (number) errno = number;
    return number == 0;
}

static bv_status write_all(int fd, const char *path, const void *bytes, size_t size) {
    const char *p = bytes;
    while (size > 0) {
        const ssize_t n = allowed("write", path) ? write(fd, p, size) : -1;
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC; /* never seen, but would loop for ever */
        if (n <= 0) return bv_fail_errno("cannot write %s", path);
        p += n;
        size -= (size_t)n;
    }
    return BV_OK;
}

static bv_status sync_fd(int fd, const char *path) {
    for (;;) {
        if (allowed("fsync", path) && fsync(fd) == 0) return BV_OK;
        if (errno != EINTR) return bv_fail_errno("cannot sync %s", path);
    }
}

/* ---- paths ---- */

size_t bv_path_trimmed(const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    return length;
}

char *bv_path_join(const char *a, const char *b) {
    bv_buffer path = {0};
    const size_t n = strlen(a);
    bv_buffer_printf(&path, "%s%s%s", a, !n || a[n - 1] == '/' ? "" : "/", b);
    if (!path.failed) return path.data;
    bv_buffer_free(&path);
    return NULL;
}

bv_status bv_path_in(char path[BV_PATH_SIZE], const char *folder, const char *name) {
    const size_t n = strlen(folder);
    const char *slash = !n || folder[n - 1] == '/' ? "" : "/";
    if (snprintf(path, BV_PATH_SIZE, "%s%s%s", folder, slash, name) < BV_PATH_SIZE) return BV_OK;
    return bv_fail(BV_CODE_USAGE, "the path is too long: %s", folder);
}

/* The folder part of a path ("." without one); NULL without memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return bv_strdup(".");
    char *copy = bv_strdup(path);
    if (copy) copy[slash == path ? 1 : slash - path] = 0;
    return copy;
}

bv_status bv_dir_sync(const char *path) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bv_error *error = fd < 0 ? bv_fail_errno("cannot open %s", path) : sync_fd(fd, path);
    if (fd >= 0) close(fd);
    return error;
}

static bv_status sync_folder_of(const char *path) {
    char *folder = folder_of(path);
    if (!folder) return bv_fail_memory("a path");
    bv_error *error = bv_dir_sync(folder);
    bv_free(folder);
    return error;
}

bool bv_file_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

bool bv_path_hidden(const char *path) {
    struct stat s;
    return stat(path, &s) != 0 && errno == EACCES;
}

bool bv_dir_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static bv_status make_one(const char *path) {
    const bool made = allowed("mkdir", path) && mkdir(path, 0777) == 0;
    const int cause = errno;
    if (made || bv_dir_exists(path)) return BV_OK;
    errno = cause;
    return bv_fail_errno("cannot make the folder %s", path);
}

bv_status bv_dir_make(const char *path) {
    if (!*path) return bv_fail(BV_CODE_INPUT, "a folder's name is empty");
    char *copy = bv_strdup(path);
    if (!copy) return bv_fail_memory("a path");
    bv_error *error = BV_OK;
    for (char *p = copy + 1; !error; p++) {
        if (*p && *p != '/') continue;
        const char saved = *p;
        *p = 0;
        if (!bv_dir_exists(copy)) error = make_one(copy);
        *p = saved;
        if (!saved) break;
    }
    bv_free(copy);
    return error;
}

bv_status bv_dir_make_parent(const char *path) {
    char *folder = folder_of(path);
    bv_error *error = folder ? bv_dir_make(folder) : bv_fail_memory("a path");
    bv_free(folder);
    return error;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void bv_names_free(char **names, size_t count) {
    for (size_t i = 0; i < count; i++) bv_free(names[i]);
    bv_free(names);
}

bv_status bv_dir_list(const char *path, char ***names, size_t *count) {
    *names = NULL;
    *count = 0;
    DIR *dir = opendir(path);
    if (!dir) return bv_fail_errno("cannot list %s", path);
    bool ok = true;
    size_t room = 0;
    errno = 0;
    for (struct dirent *entry; ok && (entry = readdir(dir)); errno = 0) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        ok = bv_list_grow((void **)names, *count, &room, sizeof **names);
        char *name = ok ? bv_strdup(entry->d_name) : NULL;
        ok = name != NULL;
        if (ok) (*names)[(*count)++] = name;
    }
    bv_error *error = BV_OK;
    if (!ok)
        error = bv_fail_memory("a list of files");
    else if (errno)
        error = bv_fail_errno("cannot list %s", path);
    closedir(dir);
    if (error) {
        bv_names_free(*names, *count);
        *names = NULL;
        *count = 0;
        return error;
    }
    if (*count) qsort(*names, *count, sizeof **names, by_name);
    return BV_OK;
}

/* What is removed at once: anything but a folder with something in it. Gone already is as good. */
static bool remove_entry(int folder, const char *name) {
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return false;
    return unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Calls `each` for each name in an open folder, until one fails (errno). */
typedef bool name_work(void *context, int folder, const char *name);
static bool for_each_name(int folder, name_work *each, void *context) {
    const int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir) {
        if (own >= 0) close(own);
        return false;
    }
    bool ok = true;
    errno = 0;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        ok = each(context, folder, e->d_name);
        if (ok) errno = 0;
    }
    ok = ok && errno == 0;
    const int number = errno;
    closedir(dir);
    errno = number;
    return ok;
}

/* Folders that are removed are brought to the top first, one level at a time: so neither a path nor
 * the stack grows with their depth, which a guest of a box may have chosen. */
typedef struct removal {
    int top;
    unsigned serial; /* of the names there */
    bool again;      /* something was brought to the top */
} removal;

static bool lift(void *context, int folder, const char *name) {
    removal *r = context;
    char new_name[32];
    if (remove_entry(folder, name)) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) return false;
    do snprintf(new_name, sizeof new_name, "removed-%u", r->serial++);
    while (faccessat(r->top, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    r->again = true;
    return renameat(folder, name, r->top, new_name) == 0;
}

static bool remove_from_top(void *context, int top, const char *name) {
    if (remove_entry(top, name)) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) return false;
    const int folder = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return false;
    const bool ok = for_each_name(folder, lift, context);
    const int number = errno;
    close(folder);
    errno = number;
    return ok && unlinkat(top, name, AT_REMOVEDIR) == 0;
}

bv_status bv_dir_remove(const char *path) {
    removal r = {.again = true};
    if (unlink(path) == 0 || errno == ENOENT) return BV_OK;
    r.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = r.top >= 0;
    while (ok && r.again) {
        r.again = false;
        ok = for_each_name(r.top, remove_from_top, &r);
    }
    bv_error *error = ok ? BV_OK : bv_fail_errno("cannot remove what is in %s", path);
    if (r.top >= 0) close(r.top);
    if (!error && rmdir(path) != 0) error = bv_fail_errno("cannot remove %s", path);
    return error;
}

bv_status bv_path_rename(const char *from, const char *to) {
    if (!allowed("rename", to) || rename(from, to) != 0)
        return bv_fail_errno("cannot rename %s to %s", from, to);
    return sync_folder_of(to);
}

bv_status bv_dir_hold(const char *path, int *fd) {
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? bv_fail_errno("cannot open %s", path) : BV_OK;
}

bool bv_dir_is(const char *path, int fd) {
    struct stat s, t;
    return stat(path, &s) == 0 && fstat(fd, &t) == 0 && s.st_dev == t.st_dev &&
           s.st_ino == t.st_ino;
}

/* Is the last part of the path a link? A slash behind it would follow it. */
static bool is_link(const char *path) {
    struct stat s;
    char *name = bv_strdup(path);
    if (name) name[bv_path_trimmed(path)] = 0;
    const bool link = name && lstat(name, &s) == 0 && S_ISLNK(s.st_mode);
    bv_free(name);
    return link;
}

bool bv_path_taken(const char *path) {
    struct stat s;
    if (!bv_dir_exists(path)) return lstat(path, &s) == 0; /* a pipe, a link to nothing ... */
    if (is_link(path)) return true;
    char **names = NULL;
    size_t count = 0;
    bv_error *error = bv_dir_list(path, &names, &count);
    const bool taken = error || count > 0;
    bv_names_free(names, count);
    bv_error_free(&error);
    return taken;
}

/* The path, or its nearest parent that exists; NULL without memory. */
static char *part_that_exists(const char *path) {
    char *folder = bv_strdup(path);
    while (folder && access(folder, F_OK) && errno == ENOENT && strcmp(folder, ".")) {
        char *parent = folder_of(folder);
        bv_free(folder);
        folder = parent;
    }
    return folder;
}

bv_status bv_file_free_space(const char *path, uint64_t *bytes) {
    struct statvfs s;
    char *there = part_that_exists(path);
    bv_error *error = !there               ? bv_fail_memory("a path")
                      : statvfs(there, &s) ? bv_fail_errno("cannot look at %s", path)
                                           : BV_OK;
    if (!error) *bytes = (uint64_t)s.f_bavail * s.f_frsize;
    bv_free(there);
    return error;
}

bv_status bv_path_writable(const char *path) {
    char *there = part_that_exists(path);
    bv_error *error = !there                       ? bv_fail_memory("a path")
                      : access(there, W_OK | X_OK) ? bv_fail_errno("cannot write %s", path)
                                                   : BV_OK;
    bv_free(there);
    return error;
}

void bv_streams_guard(void) {
    for (int i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) < 0) open("/dev/null", i == 0 ? O_WRONLY : O_RDONLY);
}

/* ---- whole reads and maps ---- */

/* Anything that can be read, or with `map` only what has a size: a pipe is then not waited for. */
static bv_status open_to_read(const char *path, bool map, int *fd, size_t *size) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | (map ? O_NONBLOCK : 0));
    if (*fd < 0) return bv_fail_errno("cannot open %s", path);
    struct stat s;
    bv_error *error = BV_OK;
    if (fstat(*fd, &s) != 0)
        error = bv_fail_errno("cannot look at %s", path);
    else if (S_ISDIR(s.st_mode))
        error = bv_fail(BV_CODE_INPUT, "%s is a folder, not a file", path);
    else if (map && !S_ISREG(s.st_mode))
        error = bv_try(bv_fail(BV_CODE_INPUT, "%s is a pipe or a device, not a file", path),
                       "cat %s > text.txt, and that file", path);
    if (error)
        close(*fd);
    else
        *size = S_ISREG(s.st_mode) ? (size_t)s.st_size : 0;
    return error;
}

bv_status bv_file_open(const char *path, int *fd) {
    size_t size;
    return open_to_read(path, false, fd, &size);
}

/* What a device may give: a terminal never so much, /dev/zero has no end. */
#define DEVICE_BYTES_MAX ((size_t)16 << 20)

static size_t most_of(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISCHR(s.st_mode) ? DEVICE_BYTES_MAX : SIZE_MAX;
}

bv_status bv_file_read(const char *path, bv_buffer *out) {
    int fd;
    size_t size;
    BV_TRY(open_to_read(path, false, &fd, &size));
    const size_t most = most_of(fd);
    bv_error *error = BV_OK;
    const size_t before = out->size;
    bool room = bv_buffer_reserve(out, size + 1); /* one more, to see the end without growing */
    for (;;) {
        if (room && out->capacity - out->size < 2) room = bv_buffer_reserve(out, 65536);
        if (!room) {
            error = bv_fail_memory("a file");
            break;
        }
        const ssize_t n = read(fd, out->data + out->size, out->capacity - out->size - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) error = bv_fail_errno("cannot read %s", path);
        if (n <= 0) break;
        out->size += (size_t)n;
        if (out->size - before <= most) continue;
        error = bv_fail(BV_CODE_INPUT, "%s has no end: it is a device, not a file", path);
        break;
    }
    if (error) out->size = before;
    if (out->data) out->data[out->size] = 0;
    close(fd);
    return error;
}

bv_status bv_map_open(const char *path, bv_map *map) {
    int fd;
    size_t size;
    *map = (bv_map){(const unsigned char *)"", 0, NULL};
    BV_TRY(open_to_read(path, true, &fd, &size));
    bv_error *error = BV_OK;
    if (size) {
        void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            error = bv_fail_errno("cannot map %s", path);
        else
            *map = (bv_map){data, size, bv_watch_begin(data, size)};
    }
    close(fd);
    if (!map->size || map->watched) return error;
    bv_map_close(map);
    return bv_fail_memory("a map of a file");
}

void bv_map_close(bv_map *map) {
    bv_watch_end(&map->watched);
    if (map->size) munmap((void *)map->data, map->size);
    *map = (bv_map){(const unsigned char *)"", 0, NULL};
}

bv_status bv_map_check(const bv_map *map, const char *path) {
    if (!bv_watch_lost(map->watched)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "%s was cut short while it was read", path),
                  "again, when nobody writes to it");
}

#define KEPT_BYTES ((size_t)64 << 20) /* of a map */

void bv_map_forget(const bv_map *map, size_t begin, size_t end) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    begin = begin < KEPT_BYTES ? KEPT_BYTES : begin / page * page;
    end = end < map->size ? end / page * page : map->size;
    /* Only advice: the content stays the same if it is refused. */
    if (begin < end) madvise((void *)(map->data + begin), end - begin, MADV_DONTNEED);
}

/* ---- atomic writes ---- */

/* Stays in the second-level cache. Writes of that size at multiples of it take few large pages
 * of the system's in place of many small ones. */
#define WRITER_BUFFER ((size_t)256 << 10)
#define BEGIN_BYTES ((size_t)1 << 20) /* of the system's, until it begins to write them */

struct bv_writer {
    int fd;
    char *path, *temporary, *buffer; /* temporary: NULL where the folder is */
    size_t used, waiting;            /* waiting: bytes that the system has, but does not write */
};

static void free_writer(bv_writer **writer) {
    bv_writer *w = *writer;
    if (w->fd >= 0) close(w->fd);
    bv_free(w->path);
    bv_free(w->temporary);
    bv_free(w->buffer);
    bv_free(w);
    *writer = NULL;
}

/* FOLDER/.NAME.tmp.PID */
static char *temporary_name(const char *path) {
    const char *slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash - path) + 1 : 0;
    bv_buffer name = {0};
    bv_buffer_printf(&name, "%.*s.%s.tmp.%d", folder, path, path + folder, (int)getpid());
    if (!name.failed) return name.data;
    bv_buffer_free(&name);
    return NULL;
}

/* A rename would put a file in place of a device (/dev/null), a pipe or a socket, or of a link to
 * one (/dev/stdout). */
static bv_status check_replaceable(const char *path) {
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "cannot write %s: it is a %s, not a file", path,
                          S_ISDIR(s.st_mode) ? "folder" : "pipe or a device"),
                  "the name of a file");
}

static bv_status open_writer(const char *path, bool in_place, bv_writer **out) {
    *out = NULL;
    BV_TRY(check_replaceable(path));
    bv_writer *w = bv_calloc(1, sizeof *w);
    if (!w) return bv_fail_memory("a file");
    w->fd = -1;
    w->path = bv_strdup(path);
    if (!in_place) w->temporary = temporary_name(path);
    w->buffer = bv_malloc(WRITER_BUFFER);
    const char *name = in_place ? path : w->temporary;
    bv_error *error = BV_OK;
    if (!w->path || !name || !w->buffer)
        error = bv_fail_memory("a file");
    else if (!allowed("open", path) ||
             (w->fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        error = bv_fail_errno("cannot write %s", path);
    if (error) free_writer(&w);
    *out = w;
    return error;
}

bv_status bv_writer_open(const char *path, bv_writer **out) {
    return open_writer(path, false, out);
}

bv_status bv_writer_open_in_place(const char *path, bv_writer **out) {
    return open_writer(path, true, out);
}

static void begin_writing(bv_writer *w) {
#ifdef SYNC_FILE_RANGE_WRITE
    sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* advice */
#endif
    w->waiting = 0;
}

static bv_status hand_over(bv_writer *w, const void *bytes, size_t size) {
    BV_TRY(write_all(w->fd, w->path, bytes, size));
    w->waiting += size;
    if (w->waiting >= BEGIN_BYTES) begin_writing(w);
    return BV_OK;
}

static bv_status empty_buffer(bv_writer *w) {
    const size_t size = w->used;
    w->used = 0;
    return hand_over(w, w->buffer, size);
}

bv_status bv_writer_flush(bv_writer *w) {
    BV_TRY(empty_buffer(w));
    begin_writing(w);
    return BV_OK;
}

bv_status bv_writer_write(bv_writer *w, const void *bytes, size_t size) {
    const char *from = bytes;
    for (size_t n; size; from += n, size -= n) {
        const size_t room = WRITER_BUFFER - w->used;
        n = size < room ? size : room;
        if (n == WRITER_BUFFER) {
            n = size / WRITER_BUFFER * WRITER_BUFFER;
            BV_TRY(hand_over(w, from, n));
            continue;
        }
        memcpy(w->buffer + w->used, from, n);
        w->used += n;
        if (n == room) BV_TRY(empty_buffer(w));
    }
    return BV_OK;
}

bv_status bv_writer_commit(bv_writer **writer) {
    bv_writer *w = *writer;
    bv_error *error = bv_writer_flush(w);
    if (!error) error = sync_fd(w->fd, w->path);
    if (!error && w->temporary) error = bv_path_rename(w->temporary, w->path);
    if (error)
        bv_writer_abort(writer);
    else
        free_writer(writer);
    return error;
}

void bv_writer_abort(bv_writer **writer) {
    if (!*writer) return;
    unlink((*writer)->temporary ? (*writer)->temporary : (*writer)->path);
    free_writer(writer);
}

/* Of the paths that stand for an open descriptor: that; else -1. Opened anew, a file would be
 * written from its beginning. */
static int descriptor_of(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "/dev/stdout")) return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr")) return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const size_t n = strlen(folders[i]);
        char *end;
        if (strncmp(path, folders[i], n) || path[n] < '0' || path[n] > '9') continue;
        const long number = strtol(path + n, &end, 10);
        if (!*end && number < 1 << 20) return (int)number;
    }
    return -1;
}

/* Is it there, and nothing that a rename may replace? Of a link to a file, *path becomes the file's
 * name (in `real`), which may be. */
static bool is_special(const char **path, char real[PATH_MAX]) {
    struct stat s;
    if (lstat(*path, &s) != 0 || S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) return false;
    if (stat(*path, &s) != 0 || !S_ISREG(s.st_mode) || !realpath(*path, real)) return true;
    *path = real;
    return false;
}

static bv_status write_through(const char *path, const void *bytes, size_t size) {
    const int given = descriptor_of(path);
    const int fd = given >= 0 ? given : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return bv_fail_errno("cannot write %s", path);
    bv_error *error = write_all(fd, path, bytes, size);
    if (given < 0 && close(fd) && !error) error = bv_fail_errno("cannot write %s", path);
    return error;
}

bv_status bv_file_write(const char *path, const void *bytes, size_t size) {
    bv_writer *writer;
    char real[PATH_MAX];
    if (descriptor_of(path) >= 0 || is_special(&path, real))
        return write_through(path, bytes, size);
    BV_TRY(bv_writer_open(path, &writer));
    bv_error *error = bv_writer_write(writer, bytes, size);
    if (!error) return bv_writer_commit(&writer);
    bv_writer_abort(&writer);
    return error;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat s, t;
    return stat(a, &s) == 0 && stat(b, &t) == 0 && S_ISREG(s.st_mode) && s.st_dev == t.st_dev &&
           s.st_ino == t.st_ino;
}

bv_status bv_file_check_apart(const char *out, const char *in) {
    if (!is_same_file(out, in)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "%s would replace what is read, %s", out, in),
                  "another file");
}

bv_status bv_file_check_apart_from(const char *out, const char *folder, const char *const *names) {
    for (; *names; names++) {
        char in[BV_PATH_SIZE];
        BV_TRY(bv_path_in(in, folder, *names));
        if (!strcmp(out, in) || is_same_file(out, in))
            return bv_try(
                bv_fail(BV_CODE_USAGE, "%s would replace what belongs to %s", out, folder),
                "another file");
    }
    return BV_OK;
}

bv_status bv_file_check_writable(const char *path) {
    bv_writer *writer;
    BV_TRY(bv_writer_open(path, &writer));
    bv_writer_abort(&writer);
    return BV_OK;
}

/* ---- appended lines ---- */

struct bv_append {
    int fd;
    char *path;
};

bv_status bv_append_open(const char *path, bv_append **out) {
    *out = NULL;
    bv_append *file = bv_calloc(1, sizeof *file);
    if (!file || !(file->path = bv_strdup(path))) {
        bv_free(file);
        return bv_fail_memory("a file");
    }
    file->fd =
        allowed("open", path) ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (file->fd < 0) {
        bv_error *error = bv_fail_errno("cannot write %s", path);
        bv_free(file->path);
        bv_free(file);
        return error;
    }
    *out = file;
    return BV_OK;
}

bv_status bv_append_line(bv_append *file, const char *line) {
    bv_buffer text = {0};
    bv_buffer_printf(&text, "%s\n", line);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = write_all(file->fd, file->path, text.data, text.size);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_append_sync(bv_append *file) {
    return sync_fd(file->fd, file->path);
}

bv_status bv_append_close(bv_append **file) {
    if (!*file) return BV_OK;
    bv_error *error = bv_append_sync(*file);
    close((*file)->fd);
    bv_free((*file)->path);
    bv_free(*file);
    *file = NULL;
    return error;
}

/* ---- locks ---- */

struct bv_lock {
    int fd;
};

bv_status bv_lock_take(const char *path, bv_lock **out) {
    *out = NULL;
    const int fd = allowed("open", path) ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return bv_fail_errno("cannot lock %s", path);
    char holder[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            bv_error *error = bv_fail_errno("cannot lock %s", path);
            close(fd);
            return error;
        }
        const ssize_t n = read(fd, holder, sizeof holder - 1);
        close(fd);
        return bv_try(
            bv_fail(BV_CODE_USAGE, "%s is in use by process %s", path, n > 0 ? holder : "?"),
            "wait for it, or stop it");
    }
    bv_lock *lock = bv_malloc(sizeof *lock);
    if (!lock) {
        close(fd);
        return bv_fail_memory("a lock");
    }
    const int length = snprintf(holder, sizeof holder, "%d", (int)getpid());
    /* The pid only helps whoever is refused; a lock without it is as good. */
    if (ftruncate(fd, 0) == 0 && write(fd, holder, (size_t)length) < 0) errno = 0;
    lock->fd = fd;
    *out = lock;
    return BV_OK;
}

void bv_lock_release(bv_lock **lock) {
    if (!*lock) return;
    close((*lock)->fd);
    bv_free(*lock);
    *lock = NULL;
}
