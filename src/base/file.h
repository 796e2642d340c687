/*
 * Files: whole reads, read-only maps, and writes that are all or nothing (temporary name, fsync,
 * rename, fsync of the folder). Paths are bytes. All calls retry on EINTR. Every write, sync and
 * rename passes the I/O hook, so that tests can make each one fail once.
 */
#ifndef BV_BASE_FILE_H
#define BV_BASE_FILE_H

#include "base/buffer.h"
#include "base/lost_pages.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bv_status bv_file_read(const char *path, bv_buffer *out); /* appends; caller frees the buffer */
bv_status bv_file_open(const char *path,
                       int *fd); /* to read; a folder is refused. The caller closes. */
/* Atomically; a link to a file stays, and its file is replaced. What is there and is no file (a
 * pipe, a device, a link to nothing) is written to, and of /dev/stdout, /dev/stderr and /dev/fd/N
 * it is the open descriptor. */
bv_status bv_file_write(const char *path, const void *bytes, size_t size);
/* Could bv_writer write it? A look before long work: makes a temporary file and removes it. */
bv_status bv_file_check_writable(const char *path);
/* BV_CODE_USAGE where `out` is the file `in`, which it would replace. */
bv_status bv_file_check_apart(const char *out, const char *in);
/* The same of a folder's files (names: NULL at the end), which need not be there yet. */
bv_status bv_file_check_apart_from(const char *out, const char *folder, const char *const *names);
bool bv_file_exists(const char *path); /* is it there, and a file? */
bool bv_path_hidden(const char *path); /* may one not even look whether it is there? Sets errno. */
bool bv_dir_exists(const char *path);
bool bv_path_taken(const char *path);    /* exists, and is no empty folder: a rename would not do */
bv_status bv_dir_make(const char *path); /* with parents; existing is success */
bv_status bv_dir_make_parent(const char *path); /* the folder that `path` stands in */
bv_status bv_dir_remove(const char *path); /* recursively; absent is success; no symlink followed */
/* Names in a folder, sorted by bytes, without . and ..; the caller frees them. */
bv_status bv_dir_list(const char *path, char ***names, size_t *count);
void bv_names_free(char **names, size_t count); /* each, and the list */
bv_status bv_dir_sync(const char *path);        /* the names in it; not what the files hold */
bv_status bv_path_rename(const char *from, const char *to); /* and syncs the folder of `to` */
/* Keeps a folder open, so that bv_dir_is can tell later whether a path still leads to it, or
 * whether it was moved, removed, or another one put in its place. The caller closes *fd. */
bv_status bv_dir_hold(const char *path, int *fd);
bool bv_dir_is(const char *path, int fd);
/* Where the path is, or would be: of its nearest parent that exists. */
bv_status bv_file_free_space(const char *path, uint64_t *bytes);
/* May one make something there, as far as permissions say? A cheap look before long work. */
bv_status bv_path_writable(const char *path);
size_t bv_path_trimmed(const char *path);         /* its length without slashes at its end */
char *bv_path_join(const char *a, const char *b); /* NULL without memory; free with bv_free */
#define BV_PATH_SIZE 4096                         /* of any path, its NUL included: PATH_MAX */
/* The same in place; BV_CODE_USAGE for a path that would be too long. */
bv_status bv_path_in(char path[BV_PATH_SIZE], const char *folder, const char *name);

/* A read-only map of a whole file; a pipe or a device is BV_CODE_INPUT. An empty file gives size 0
 * and data "". Where the file is cut short meanwhile, zeros are read behind its new end. */
typedef struct bv_map {
    const unsigned char *data;
    size_t size;
    bv_watched_range *watched;
} bv_map;
bv_status bv_map_open(const char *path, bv_map *map);
void bv_map_close(bv_map *map);
/* What was read until now is what the file held; BV_CODE_INPUT where it was cut short. path: as the
 * error names it. */
bv_status bv_map_check(const bv_map *map, const char *path);
/* The pages of begin .. end (of the last one, only if it ends there) are given back to the system;
 * a later look at them reads them again. So the memory of who passes over a file stays constant.
 * The first 64 MB of a map stay: finding their pages again takes longer than they are worth. */
void bv_map_forget(const bv_map *map, size_t begin, size_t end);

/* A streaming atomic writer: bytes go to a temporary file beside `path`, buffered; commit syncs and
 * renames; abort (or a failed commit) removes the temporary file. A path that is a folder, a
 * device, a pipe or a socket is BV_CODE_INPUT: none of them is ever replaced. One thread at a time.
 */
typedef struct bv_writer bv_writer;
bv_status bv_writer_open(const char *path, bv_writer **out);
/* The same without a temporary name, in a folder that has one: commit only syncs the file, and who
 * renames the folder syncs that before (bv_dir_sync). */
bv_status bv_writer_open_in_place(const char *path, bv_writer **out);
bv_status bv_writer_write(bv_writer *writer, const void *bytes, size_t size);
/* Hands what is buffered to the system, which begins to write it to the disk. */
bv_status bv_writer_flush(bv_writer *writer);
bv_status bv_writer_commit(bv_writer **writer); /* frees, also on failure */
void bv_writer_abort(bv_writer **writer);       /* NULL is legal */

/* An appending log file (metrics.jsonl): each line is one write; closing syncs. */
typedef struct bv_append bv_append;
bv_status bv_append_open(const char *path, bv_append **out);
bv_status bv_append_line(bv_append *file, const char *line); /* adds the newline */
bv_status bv_append_sync(bv_append *file);
bv_status bv_append_close(bv_append **file);

/* An exclusive lock held by this process until closed; a held lock fails at once with the holder's
 * pid in the text (BV_CODE_USAGE). */
typedef struct bv_lock bv_lock;
bv_status bv_lock_take(const char *path, bv_lock **out);
void bv_lock_release(bv_lock **lock);

/* At the beginning of a program: of streams (0 to 2) that are closed, that none is opened as
 * another file, into which then goes what is meant for people. Using them goes on to fail (EBADF).
 */
void bv_streams_guard(void);

/* Called before each write-like system call with its name ("write", "fsync", "rename", "mkdir");
 * a non-zero return is the errno to fail with. NULL switches it off. */
typedef int bv_io_hook(void *context, const char *call, const char *path);
void bv_io_hook_set(bv_io_hook *hook, void *context);

#endif
