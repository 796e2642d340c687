#include "base/partial_folder.h"

#include "base/memory.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A rename puts nothing in place of these. */
static bool is_fixed(const char *path) {
    struct statx s;
    const size_t size = bv_path_trimmed(path);
    size_t begin = size;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    if (size - begin <= 2 && strspn(path + begin, ".") >= size - begin) return true;
    return statx(AT_FDCWD, path, 0, 0, &s) == 0 && s.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* PATH.partial; NULL without memory. */
static char *partial_name(const char *path) {
    bv_buffer name = {0};
    bv_buffer_printf(&name, "%.*s.partial", (int)bv_path_trimmed(path), path);
    if (!name.failed) return name.data;
    bv_buffer_free(&name);
    return NULL;
}

/* What is to be cleared must be ours: the lock comes into it first, and goes last. (Looked for
 * again where it is not there: another may just have put it into an empty folder.) */
static bv_status check_own(const char *partial) {
    char lock[BV_PATH_SIZE];
    BV_TRY(bv_path_in(lock, partial, BV_FOLDER_LOCK));
    if (bv_file_exists(lock) || !bv_dir_exists(partial) || !bv_path_taken(partial) ||
        bv_file_exists(lock))
        return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "%s is in the way: nothing that was left here", partial),
                  "move it away, or another --out");
}

bv_status bv_partial_folder_check(const char *path) {
    if (bv_path_taken(path))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s exists", path), "another --out");
    if (is_fixed(path))
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "%s cannot be replaced by a folder that is made as a whole: it is "
                              "the current one, or mounted",
                              path),
                      "a folder in it: --out %s/NAME", path);
    BV_TRY(bv_path_writable(path));
    char *partial = partial_name(path);
    bv_error *error = partial ? check_own(partial) : bv_fail_memory("a path");
    bv_free(partial);
    return error;
}

static bv_status take_lock(bv_partial_folder *folder) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, folder->path, BV_FOLDER_LOCK));
    return bv_lock_take(path, &folder->lock);
}

/* Everything but the lock: left by one that was killed. */
static bv_status clear(const bv_partial_folder *folder) {
    char **names = NULL;
    size_t count = 0;
    bv_error *error = bv_dir_list(folder->path, &names, &count);
    for (size_t i = 0; !error && i < count; i++) {
        char path[BV_PATH_SIZE];
        if (!strcmp(names[i], BV_FOLDER_LOCK)) continue;
        error = bv_path_in(path, folder->path, names[i]);
        if (!error) error = bv_dir_remove(path);
    }
    bv_names_free(names, count);
    return error;
}

static bv_status reserve(bv_partial_folder *folder) {
    for (int i = 0; i < 2; i++) {
        folder->spare[i] = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder->spare[i] < 0) return bv_fail_errno("cannot open %s", folder->path);
    }
    return BV_OK;
}

static void release(bv_partial_folder *folder) {
    for (int i = 0; i < 2; i++)
        if (folder->spare[i] >= 0) close(folder->spare[i]);
    bv_lock_release(&folder->lock);
    bv_free(folder->path);
    *folder = (bv_partial_folder){.spare = {-1, -1}};
}

bv_status bv_partial_folder_begin(const char *path, bv_partial_folder *out) {
    *out = (bv_partial_folder){.spare = {-1, -1}};
    out->path = partial_name(path);
    bv_error *error = out->path ? check_own(out->path) : bv_fail_memory("a path");
    if (!error) error = bv_dir_make(out->path);
    if (!error) error = reserve(out);
    if (!error) error = take_lock(out);
    if (!error) error = clear(out);
    return error ? bv_first_error(error, bv_partial_folder_abort(out)) : BV_OK;
}

bv_status bv_partial_folder_end(bv_partial_folder *folder, const char *path, bv_lock **lock) {
    char file[BV_PATH_SIZE];
    bv_error *error = bv_path_in(file, path, BV_FOLDER_LOCK);
    if (!error) error = bv_path_rename(folder->path, path);
    if (error) {
        error = bv_first_error(error, bv_partial_folder_abort(folder));
    } else if (lock) {
        *lock = folder->lock;
        folder->lock = NULL;
    } else {
        unlink(file); /* else it is in nobody's way */
    }
    release(folder);
    return error;
}

bv_status bv_partial_folder_abort(bv_partial_folder *folder) {
    bv_error *error = BV_OK;
    if (folder->lock) {
        for (int i = 0; i < 2; i++) {
            if (folder->spare[i] >= 0) close(folder->spare[i]);
            folder->spare[i] = -1;
        }
        bv_error *ignored = clear(folder); /* the lock stays to the end: see check_own */
        bv_error_free(&ignored);
        error = bv_dir_remove(folder->path);
    } else if (folder->path) {
        rmdir(folder->path); /* unless it is another's, who has a lock there */
    }
    release(folder);
    return error;
}
