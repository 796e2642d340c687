#include "arena/canaries.h"

#include "base/file.h"
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static bv_status set_file(bv_canaries *c) {
    snprintf(c->folder, sizeof c->folder, "/tmp/beaver-canary-XXXXXX");
    if (!mkdtemp(c->folder)) {
        c->folder[0] = 0;
        return bv_fail_errno("cannot make a folder in /tmp");
    }
    snprintf(c->file, sizeof c->file, "%s/file", c->folder);
    BV_TRY(bv_file_write(c->file, BV_CANARY_SECRET, strlen(BV_CANARY_SECRET)));
    if (chmod(c->folder, 0777) || chmod(c->file, 0666)) return bv_fail_errno("%s", c->file);
    snprintf(c->words[0], sizeof c->words[0], "CANARY_FILE=%s", c->file);
    return BV_OK;
}

static bv_status set_process(bv_canaries *c) {
    c->process = fork();
    if (c->process < 0) return bv_fail_errno("cannot start a process");
    if (c->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    snprintf(c->words[1], sizeof c->words[1], "CANARY_PID=%d", (int)c->process);
    return BV_OK;
}

static int listen_at(int family, const void *address, socklen_t size) {
    const int s = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0 || (!bind(s, address, size) && !listen(s, 8))) return s;
    const int reason = errno;
    close(s);
    errno = reason;
    return -1;
}

static bv_status set_port(bv_canaries *c) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    c->port_socket = listen_at(AF_INET, &in, size);
    if (c->port_socket < 0 || getsockname(c->port_socket, (struct sockaddr *)&in, &size))
        return bv_fail_errno("cannot listen on 127.0.0.1");
    snprintf(c->words[2], sizeof c->words[2], "CANARY_PORT=%d", ntohs(in.sin_port));
    return BV_OK;
}

static bv_status set_abstract(bv_canaries *c) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "beaver-canary-%d", (int)getpid());
    const size_t length = strlen(un.sun_path + 1);
    c->abstract_socket =
        listen_at(AF_UNIX, &un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
    if (c->abstract_socket < 0) return bv_fail_errno("cannot listen on an abstract socket");
    snprintf(c->words[3], sizeof c->words[3], "CANARY_ABSTRACT=%s", un.sun_path + 1);
    return BV_OK;
}

static bv_status set_mailbox(bv_canaries *c) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/mailbox", c->folder);
    c->mailbox = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->mailbox < 0 || bind(c->mailbox, (struct sockaddr *)&un, sizeof un) ||
        chmod(un.sun_path, 0777))
        return bv_fail_errno("cannot make the socket %s", un.sun_path);
    snprintf(c->words[4], sizeof c->words[4], "CANARY_MAILBOX=%s", un.sun_path);
    return BV_OK;
}

bv_status bv_canaries_set(bv_canaries *c) {
    *c = (bv_canaries){.port_socket = -1, .abstract_socket = -1, .mailbox = -1, .process = -1};
    bv_error *error = set_file(c);
    if (!error) error = set_process(c);
    if (!error) error = set_port(c);
    if (!error) error = set_abstract(c);
    if (!error) error = set_mailbox(c);
    if (error) bv_canaries_remove(c);
    return bv_while(error, "setting canaries");
}

static bv_status check_file(const bv_canaries *c) {
    bv_buffer text = {0};
    bv_error *error = bv_file_read(c->file, &text);
    const bool whole = !error && text.size == strlen(BV_CANARY_SECRET) &&
                       !memcmp(text.data, BV_CANARY_SECRET, text.size);
    bv_buffer_free(&text);
    bv_error_free(&error);
    struct stat s;
    const bool same = whole && !stat(c->file, &s) && (s.st_mode & 07777) == 0666 && s.st_mtime > 1;
    return same ? BV_OK : bv_fail(BV_CODE_FAULT, "%s was changed", c->file);
}

bv_status bv_canaries_check(const bv_canaries *c) {
    BV_TRY(check_file(c));
    if (accept(c->port_socket, NULL, NULL) >= 0)
        return bv_fail(BV_CODE_FAULT, "somebody came to the TCP port");
    if (accept(c->abstract_socket, NULL, NULL) >= 0)
        return bv_fail(BV_CODE_FAULT, "somebody came to the abstract socket");
    char byte;
    if (recv(c->mailbox, &byte, 1, 0) >= 0)
        return bv_fail(BV_CODE_FAULT, "somebody wrote to the mailbox");
    siginfo_t info = {.si_pid = 0}; /* nothing is reaped by looking */
    if (waitid(P_PID, (id_t)c->process, &info,
               WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) ||
        info.si_pid)
        return bv_fail(BV_CODE_FAULT, "the process was signalled");
    return BV_OK;
}

void bv_canaries_remove(bv_canaries *c) {
    if (c->process > 0) {
        kill(c->process, SIGKILL);
        while (waitpid(c->process, NULL, 0) < 0 && errno == EINTR) continue;
    }
    if (c->folder[0]) {
        bv_error *error = bv_dir_remove(c->folder);
        bv_error_free(&error);
        if (c->port_socket >= 0) close(c->port_socket);
        if (c->abstract_socket >= 0) close(c->abstract_socket);
        if (c->mailbox >= 0) close(c->mailbox);
    }
    *c = (bv_canaries){0};
}
