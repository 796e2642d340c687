/*
 * A PostgreSQL server of a test's own: made by initdb in a temporary folder, reached by a Unix
 * socket in it, run as an ordinary user also when the test runs as root, killed with the test.
 * Where its server binaries are not installed, postgres_begin says so and the test goes without.
 * For tests only.
 */
#ifndef BV_TESTS_SUPPORT_POSTGRES_H
#define BV_TESTS_SUPPORT_POSTGRES_H

#include "support/check.h"
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

typedef struct postgres {
    char *folder, data[4200], bin[160], url[4200];
    pid_t pid;
    uid_t user;
    gid_t group;
} postgres;

/* Runs `name` of PostgreSQL's binaries as its user; the output goes to a log in the folder. */
static inline pid_t postgres_spawn(const postgres *p, const char *name, char **argv) {
    char path[200], log[4200];
    snprintf(path, sizeof path, "%s/%s", p->bin, name);
    snprintf(log, sizeof log, "%s/log", p->folder);
    const pid_t pid = fork();
    if (pid != 0) return pid;
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(p->group) || setuid(p->user))) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) dup2(fd, 1), dup2(fd, 2);
    if (chdir(p->folder) == 0) execv(path, argv);
    _exit(127);
}

/* Whether it takes connections: its socket is there before that. */
static inline bool postgres_is_ready(const postgres *p) {
    char *argv[] = {(char *)"pg_isready", (char *)"-q", (char *)"-h", p->folder, NULL};
    int status;
    const pid_t pid = postgres_spawn(p, "pg_isready", argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static inline void postgres_start(postgres *p) {
    char *argv[] = {
        (char *)"postgres",          (char *)"-D", p->data, (char *)"-k", p->folder, (char *)"-c",
        (char *)"listen_addresses=", (char *)"-F", NULL};
    p->pid = postgres_spawn(p, "postgres", argv);
    assert_true(p->pid > 0);
    for (int i = 0; i < 2000 && !postgres_is_ready(p); i++)
        nanosleep(&(struct timespec){0, 50000000}, NULL);
}

/* At once, as if its machine had died. */
static inline void postgres_stop(postgres *p) {
    if (p->pid <= 0) return;
    kill(p->pid, SIGQUIT);
    waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

/* False: not installed. */
static inline bool postgres_begin(postgres *p) {
    glob_t found;
    memset(p, 0, sizeof *p);
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0) return false;
    snprintf(p->bin, sizeof p->bin, "%s", found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(p->bin, '/') = 0;
    globfree(&found);
    struct passwd *user = getpwnam("postgres");
    if (!user) user = getpwnam("nobody");
    if (!user) return false;
    p->user = geteuid() == 0 ? user->pw_uid : geteuid();
    p->group = geteuid() == 0 ? user->pw_gid : getegid();
    p->folder = make_folder();
    if (geteuid() == 0) assert_int_equal(chown(p->folder, p->user, p->group), 0);
    snprintf(p->data, sizeof p->data, "%s/data", p->folder);
    char *argv[] = {(char *)"initdb", (char *)"-D",         p->data,
                    (char *)"-U",     (char *)"beaver",     (char *)"-A",
                    (char *)"trust",  (char *)"--no-sync",  (char *)"-E",
                    (char *)"UTF8",   (char *)"--locale=C", NULL};
    int status = -1;
    waitpid(postgres_spawn(p, "initdb", argv), &status, 0);
    assert_int_equal(status, 0);
    snprintf(p->url, sizeof p->url, "postgres:///postgres?host=%s&user=beaver", p->folder);
    postgres_start(p);
    return true;
}

static inline void postgres_end(postgres *p) {
    postgres_stop(p);
    if (p->folder) remove_folder(p->folder);
}

#endif
