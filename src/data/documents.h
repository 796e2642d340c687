/*
 * Documents of text files and folders, in order: a file is one document, or is cut by a separator.
 * Files are mapped one at a time, and what was read is given back to the system, so that memory
 * stays constant.
 */
#ifndef BV_DATA_DOCUMENTS_H
#define BV_DATA_DOCUMENTS_H

#include "data/survey.h"
#include <stdbool.h>

typedef struct bv_documents bv_documents;

/* paths: files, and folders whose files are taken recursively, sorted, but for hidden names.
 * separator: NULL, or bytes between documents (not part of either). pool: borrowed; NULL for one
 * thread. */
bv_status bv_documents_open(const char *const *paths, size_t count, const char *separator,
                            bv_pool *pool, bv_documents **out);
void bv_documents_close(bv_documents **documents);
void bv_documents_rewind(bv_documents *documents);
/* The next document that is not empty; *text is NULL at the end. Borrowed until the next call.
 * A file that is no text is BV_CODE_INPUT, and so is one that was cut short while it was read. */
bv_status bv_documents_next(bv_documents *documents, const char **text, size_t *size);
/* Does something on one thread while the others look through the first file, which need not be
 * done again then. */
void bv_documents_begin(bv_documents *documents, bv_survey_beside *beside, void *context);
/* Of the document: borrowed until the next call. */
bv_status bv_documents_survey(bv_documents *documents, const char *text, size_t size,
                              const bv_survey **out);
/* A stretch of the document is not needed for now: its memory is given back. It may be read again.
 */
void bv_documents_forget(const bv_documents *documents, const char *text, size_t size);
/* The open file is given back: the next document is the first one again. */
void bv_documents_leave(bv_documents *documents);
/* What was read of the open file until now is what it held; else BV_CODE_INPUT. */
bv_status bv_documents_check(const bv_documents *documents);
/* BV_CODE_USAGE where the file `out`, that is to be written, is one of those that are read. */
bv_status bv_documents_check_apart(const bv_documents *documents, const char *out);
/* BV_CODE_INPUT, with the byte, where a file has a NUL or is no UTF-8. */
bv_status bv_documents_check_text(const bv_map *map, const char *path);
/* Separators in what was read since the beginning, or the last rewind. */
uint64_t bv_documents_cuts(const bv_documents *documents);
uint64_t bv_documents_bytes(const bv_documents *documents); /* of all files together */

#endif
