/*
 * The notes of an attack: the first lines of a program of the attack corpus (tests/arena/attacks)
 * say what it tries and what must come of it. Lines are "// key: value" or "# key: value":
 *
 *   attack       what it tries
 *   verdict      one or more words, any of which is right; "verdict user:" and "verdict nested:"
 *                (or "verdict user nested:") hold there instead
 *   compile      the same for the compiler, in whose box the attack then happens
 *   limits       cpu=300ms wall=2s memory=64M files=16M pids=8: beside the defaults
 *   policy       only under this one
 *   machine      only on this one
 *   language     instead of the one that the suffix names
 *   fetch        NAME absent|small: what may come out of a file
 *   file         one more file with this name in the compiler's box
 *   within       its box must be gone by then
 *
 * Pure functions of a text that ends with a zero byte.
 */
#ifndef BV_ARENA_ATTACK_NOTES_H
#define BV_ARENA_ATTACK_NOTES_H

#include "arena/sandbox.h"

/* The value of the `nth` line (from 0) with this key; false when there is none. */
bool bv_attack_note(const char *text, const char *key, int nth, char *value, size_t size);

/* Whether one of the words of a list is `word`. */
bool bv_attack_has_word(const char *list, const char *word);

/* The words of its verdict there; `user`: run by an ordinary user. False when none is named. */
bool bv_attack_verdicts(const char *text, bv_sandbox_policy policy, bool user, char *list,
                        size_t size);

/* Whether it happens under this policy, and on this machine (as uname names it). */
bool bv_attack_happens(const char *text, bv_sandbox_policy policy, const char *machine);

/* Changes those limits that it names, in quantities as people write them (base/quantity.h). */
bv_status bv_attack_limits(const char *text, bv_sandbox_limits *limits);

/* Whether what its verdict rests on happens under other limits than its own too. Programs that must
 * run out of time never end by themselves. `verdicts`: of that place. */
bool bv_attack_fits(const char *text, const char *verdicts, const bv_sandbox_limits *limits);

/* The name of its language, of the file's suffix if it names none; false for a file that is no
 * program. */
bool bv_attack_language(const char *file, const char *text, char *name, size_t size);

#endif
