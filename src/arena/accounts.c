#include "arena/accounts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static bv_error *refuse(const char *why) {
    return bv_fail(BV_CODE_USAGE, "the name %s", why);
}

/* One spelling, so that nobody can look like another by blanks or control characters. */
static bv_status check_name(const char *name) {
    const size_t size = strlen(name);
    if (bv_utf8_valid_prefix(name, size) != size) return refuse("is not UTF-8");
    if (size == 0 || bv_utf8_characters(name, size) > BV_ACCOUNT_NAME_MAX)
        return bv_fail(BV_CODE_USAGE, "the name must have 1 to %d characters", BV_ACCOUNT_NAME_MAX);
    if (name[0] == ' ' || name[size - 1] == ' ' || strstr(name, "  "))
        return refuse("has blanks at an end, or two in a row");
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) return refuse("has a control character");
    return BV_OK;
}

static bv_status make_key(char key[BV_ACCOUNT_KEY_SIZE]) {
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return bv_fail_errno("no random numbers from the system");
    memcpy(key, "bv-", 4);
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(key + 3 + 2 * i, 3, "%02x", bytes[i]);
    return BV_OK;
}

bv_status bv_account_create(bv_store *s, const char *name, bool is_model, bv_account *account,
                            char key[BV_ACCOUNT_KEY_SIZE]) {
    char hash[BV_SHA256_TEXT_SIZE], name_key[sizeof account->name];
    bool found;
    BV_TRY(check_name(name));
    BV_TRY(make_key(key));
    BV_TRY(bv_sha256_bytes(key, strlen(key), hash));
    *account = (bv_account){.is_model = is_model};
    snprintf(account->name, sizeof account->name, "%s", name);
    for (size_t i = 0; i <= strlen(name); i++) name_key[i] = (char)tolower((unsigned char)name[i]);
    BV_TRY(bv_store_query_int(
        s,
        "INSERT INTO arena_users (name, name_key, kind, key_hash, created_ms) "
        "VALUES ($1, $2, $3, $4, {now_ms}) ON CONFLICT (name_key) DO NOTHING RETURNING id",
        BV_VALUES(bv_text(name), bv_text(name_key), bv_text(is_model ? "model" : "person"),
                  bv_text(hash)),
        &account->id, &found));
    if (!found) return bv_try(bv_fail(BV_CODE_USAGE, "the name \"%s\" is taken", name), "another");
    return BV_OK;
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
