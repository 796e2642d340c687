/*
 * Where the end of a text begins that is kept for validation: the last part of its characters. They
 * are counted on all threads of a pool, and what was looked at is given back to the system.
 */
#ifndef BV_DATA_TAIL_H
#define BV_DATA_TAIL_H

#include "base/pool.h"
#include "data/documents.h"

/* The byte at which the last `fraction` (0 to 1) of the characters begins; of the bytes, if the
 * text is no UTF-8. The text is one of the documents. pool: NULL for one thread. */
bv_status bv_tail_find(bv_pool *pool, const bv_documents *documents, const char *text, size_t size,
                       double fraction, size_t *at);

#endif
