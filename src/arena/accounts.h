/*
 * Accounts: a name and a key. A key is 32 random bytes, shown once when it is made; the store has
 * only its SHA-256 (random keys of this length need no slow hash).
 */
#ifndef BV_ARENA_ACCOUNTS_H
#define BV_ARENA_ACCOUNTS_H

#include "arena/account_name.h"
#include "store/store.h"
#include <stdbool.h>

#define BV_ACCOUNT_KEY_SIZE 72 /* "bv-", 64 hexadecimal digits, a NUL, and room */

typedef struct bv_account {
    int64_t id;
    char name[4 * BV_ACCOUNT_NAME_MAX + 1];
    bool is_model;
} bv_account;

/* A new account with a new key. BV_CODE_USAGE for a name that is no name (account_name.h) or is
 * taken, with the remedy. */
bv_status bv_account_create(bv_store *store, const char *name, bool is_model, bv_account *account,
                            char key[BV_ACCOUNT_KEY_SIZE]);

/* *found is false for a key that nobody has. */
bv_status bv_account_find(bv_store *store, const char *key, bv_account *account, bool *found);

#endif
