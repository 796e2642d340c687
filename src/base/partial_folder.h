/*
 * A folder that appears whole or not at all: it is made under another name, PATH.partial, and
 * renamed at the end. It is locked by who makes it: two that make one at once meet there, and what
 * one left that was killed is cleared by the next.
 */
#ifndef BV_BASE_PARTIAL_FOLDER_H
#define BV_BASE_PARTIAL_FOLDER_H

#include "base/file.h"

#define BV_FOLDER_LOCK ".lock" /* the lock's name in the folder */

typedef struct bv_partial_folder {
    char *path;
    bv_lock *lock;
    int spare[2]; /* descriptors without which it could not be removed when they run out */
} bv_partial_folder;

/* Could a folder be put there at the end? BV_CODE_USAGE where something else is, where a file
 * system is mounted, for `.` and `..`, which have no name of their own, and where PATH.partial is
 * somebody else's. A look, no promise. */
bv_status bv_partial_folder_check(const char *path);
/* Makes it, locked and empty. BV_CODE_USAGE while another makes it, and where something of that
 * name is there that none was making (it has no lock). A failure leaves nothing. */
bv_status bv_partial_folder_begin(const char *path, bv_partial_folder *out);
/* Renames it to `path`, which must not exist or be an empty folder. The lock goes along and becomes
 * the caller's; with lock NULL it ends, and its file is removed. Frees, and where it fails removes
 * the folder. */
bv_status bv_partial_folder_end(bv_partial_folder *folder, const char *path, bv_lock **lock);
/* Removes and frees it; an error is only that of removing. Legal after a failure of the others. */
bv_status bv_partial_folder_abort(bv_partial_folder *folder);

#endif
