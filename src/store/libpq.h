/*
 * The functions of libpq that src/store/postgres.c uses, loaded when the first store by PostgreSQL
 * is opened: libpq brings twenty more libraries (TLS, Kerberos, LDAP), which nobody else should
 * load at each start, and which every box of the sandbox would copy with its memory.
 */
#ifndef BV_STORE_LIBPQ_H
#define BV_STORE_LIBPQ_H

#include "base/status.h"
#include <postgresql/libpq-fe.h>

#define BV_LIBPQ(X)                                                                                \
    X(clear)                                                                                       \
    X(cmdStatus)                                                                                   \
    X(cmdTuples)                                                                                   \
    X(connectdbParams)                                                                             \
    X(consumeInput)                                                                                \
    X(errorMessage)                                                                                \
    X(exec)                                                                                        \
    X(finish)                                                                                      \
    X(freemem)                                                                                     \
    X(getResult)                                                                                   \
    X(getisnull)                                                                                   \
    X(getvalue)                                                                                    \
    X(prepare)                                                                                     \
    X(resultErrorField)                                                                            \
    X(resultErrorMessage)                                                                          \
    X(resultStatus)                                                                                \
    X(sendQueryPrepared)                                                                           \
    X(setNoticeProcessor)                                                                          \
    X(setSingleRowMode)                                                                            \
    X(status)                                                                                      \
    X(unescapeBytea)

typedef struct bv_libpq {
#define BV_LIBPQ_FIELD(name) __typeof__(&PQ##name) name;
    BV_LIBPQ(BV_LIBPQ_FIELD)
#undef BV_LIBPQ_FIELD
} bv_libpq;

extern bv_libpq bv_pq; /* after bv_libpq_load, as long as the process lives */

/* Any thread. */
bv_status bv_libpq_load(void);

#endif
