#include "arena/accounts.h"

#include "base/hash.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static bv_status make_key(char key[BV_ACCOUNT_KEY_SIZE]) {
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return bv_fail_errno("no random numbers from the system");
    memcpy(key, "bv-", 4);
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(key + 3 + 2 * i, 3, "%02x", bytes[i]);
    return BV_OK;
}

static bv_status insert(bv_store *s, const char *hash, bv_account *account) {
    bv_buffer name_key = {0};
    bool found = false;
    bv_error *error = bv_account_name_key(account->name, &name_key);
    if (!error)
        error = bv_store_query_int(
            s,
            "INSERT INTO arena_users (name, name_key, kind, key_hash, created_ms) "
            "VALUES ($1, $2, $3, $4, {now_ms}) ON CONFLICT (name_key) DO NOTHING RETURNING id",
            BV_VALUES(bv_text(account->name), bv_text(name_key.data),
                      bv_text(account->is_model ? "model" : "person"), bv_text(hash)),
            &account->id, &found);
    bv_buffer_free(&name_key);
    if (error || found) return error;
    return bv_try(bv_fail(BV_CODE_USAGE, "the name \"%s\", or one that looks like it, is taken",
                          account->name),
                  "another");
}

bv_status bv_account_create(bv_store *s, const char *name, bool is_model, bv_account *account,
                            char key[BV_ACCOUNT_KEY_SIZE]) {
    char hash[BV_SHA256_TEXT_SIZE];
    BV_TRY(bv_account_name_check(name));
    BV_TRY(make_key(key));
    BV_TRY(bv_sha256_bytes(key, strlen(key), hash));
    *account = (bv_account){.is_model = is_model};
    snprintf(account->name, sizeof account->name, "%s", name);
    return insert(s, hash, account);
}

typedef struct lookup {
    bv_account *account;
    bool found;
} lookup;

static bv_status take(void *context, const bv_row *row) {
    lookup *l = context;
    l->found = true;
    l->account->id = bv_row_int(row, 0);
    snprintf(l->account->name, sizeof l->account->name, "%s", bv_row_text(row, 1));
    l->account->is_model = !strcmp(bv_row_text(row, 2), "model");
    return BV_OK;
}

bv_status bv_account_find(bv_store *s, const char *key, bv_account *account, bool *found) {
    char hash[BV_SHA256_TEXT_SIZE];
    lookup l = {account, false};
    BV_TRY(bv_sha256_bytes(key, strlen(key), hash));
    BV_TRY(bv_store_query(s, "SELECT id, name, kind FROM arena_users WHERE key_hash = $1",
                          BV_VALUES(bv_text(hash)), take, &l));
    *found = l.found;
    return BV_OK;
}
