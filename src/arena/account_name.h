/*
 * Names of users, as a scoreboard shows them side by side. A name has one spelling: no character
 * that cannot be seen or that changes how its neighbours look, no second form of a letter that has
 * a plain one. Of each name there is a key, and names with equal keys are one name: upper and lower
 * case are the same, and so are letters of the Cyrillic and Greek alphabets that look like Latin
 * ones. Digits and letters that resemble each other (0 and O, l and I) stay different.
 *
 * Pure functions, any thread.
 */
#ifndef BV_ARENA_ACCOUNT_NAME_H
#define BV_ARENA_ACCOUNT_NAME_H

#include "base/buffer.h"

#define BV_ACCOUNT_NAME_MAX 40 /* characters */

/* BV_CODE_USAGE for what is no name. */
bv_status bv_account_name_check(const char *name);
/* Appends the key of a name that was checked. */
bv_status bv_account_name_key(const char *name, bv_buffer *key);

#endif
