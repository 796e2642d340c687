/* The caller's side of slots: starting them, asking for boxes, taking them. */
#include "arena/sandbox_pool.h"

#include "base/clock.h"
#include "base/memory.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* for a box to be made; on a loaded machine too */

/* ---- roots ---- */

const bv_sandbox_root bv_sandbox_root_static = {.name = "static"};

static const bv_sandbox_bind system_binds[] = {
    {"/usr", "/usr", false},
    {"/bin", "/bin", true},
    {"/sbin", "/sbin", true},
    {"/lib", "/lib", true},
    {"/lib32", "/lib32", true},
    {"/lib64", "/lib64", true},
    {"/etc/alternatives", "/etc/alternatives", true},
    {"/etc/ld.so.cache", "/etc/ld.so.cache", true},
};
const bv_sandbox_root bv_sandbox_root_system = {
    .name = "system",
    .binds = system_binds,
    .bind_count = sizeof system_binds / sizeof *system_binds,
};

/* Nobody but root and us may be able to change what a path leads to. */
static bv_status check_source(const char *source) {
    char path[PATH_MAX];
    struct stat s;
    if (source[0] != '/' || strlen(source) >= sizeof path)
        return bv_fail(BV_CODE_USAGE, "a bind's source must be an absolute path: %s", source);
    snprintf(path, sizeof path, "%s", source);
    for (bool last = true;; last = false) {
        if (lstat(path, &s)) return bv_fail_errno("cannot look at %s", path);
        const bool ours = s.st_uid == 0 || s.st_uid == geteuid();
        const bool link = S_ISLNK(s.st_mode);
        const bool sticky = !last && (s.st_mode & S_ISVTX);
        if (!ours || (!link && !sticky && (s.st_mode & (S_IWGRP | S_IWOTH))))
            return bv_try(bv_fail(BV_CODE_USAGE,
                                  "%s could be changed by others, so it is not "
                                  "shown in a box",
                                  path),
                          "a folder that only root can write");
        char *slash = strrchr(path, '/');
        if (!slash || !strcmp(path, "/")) return BV_OK;
        slash[slash == path ? 1 : 0] = 0;
    }
}

static bv_status check_root(const bv_sandbox_root *root) {
    for (size_t i = 0; i < root->bind_count; i++) {
        const bv_sandbox_bind *b = &root->binds[i];
        struct stat s;
        if (b->optional && lstat(b->source, &s) && errno == ENOENT) continue;
        BV_TRY(bv_while(check_source(b->source), "checking the root \"%s\"", root->name));
    }
    return BV_OK;
}

/* Which files its sources are now: a plan that shows others than before is another plan. */
static void look_at_binds(const bv_sandbox_root *root, bv_box_bind *binds) {
    for (size_t i = 0; i < root->bind_count; i++) {
        const bv_sandbox_bind *b = &root->binds[i];
        struct stat s;
        binds[i] = (bv_box_bind){.source = b->source, .target = b->target, .optional = b->optional};
        if (lstat(b->source, &s)) continue;
        binds[i].device = s.st_dev, binds[i].inode = s.st_ino, binds[i].mode = s.st_mode;
    }
}

/* ---- slots ---- */

static void forget_plans(bv_slot *slot) {
    for (size_t i = 0; i < BV_SLOT_PLANS; i++) bv_buffer_free(&slot->plans[i]);
    slot->next_plan = 0;
}

void bv_slot_end(bv_slot *slot) {
    if (slot->pid == 0) return;
    close(slot->socket); /* it kills its box and ends */
    while (waitpid(slot->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    bv_cgroup_remove(&slot->group);
    forget_plans(slot);
    slot->pid = 0, slot->socket = -1, slot->making = false, slot->root = NULL;
}

bv_status bv_slot_begin(bv_sandbox_pool *pool, bv_slot *slot) {
    BV_TRY(bv_slot_spawn(&slot->socket, &slot->pid));
    bv_error *error = bv_cgroup_make(&pool->bases, slot->index, slot->pid, &slot->group);
    slot->uid = 0;
    if (!error && pool->policy == BV_POLICY_NESTED && bv_box_outer_id(slot->pid, &slot->uid))
        error = bv_fail_errno("cannot look for an id of a box");
    slot->making = false;
    slot->root = NULL;
    if (error) bv_slot_end(slot);
    return error;
}

/* Compiled when it is first needed. */
static bv_status find_filter(bv_sandbox_pool *pool, const bv_slot *slot, struct sock_fprog *out) {
    const bool nested = pool->policy == BV_POLICY_NESTED;
    const bv_seccomp_kind kind = {
        .nested = nested,
        .memory_counted = slot->group.memory,
        .shared_id = nested && slot->uid == 0,
    };
    struct sock_fprog *f = &pool->filters[kind.memory_counted][kind.shared_id];
    bv_error *error = BV_OK;
    pthread_mutex_lock(&pool->mutex);
    if (!f->filter) error = bv_seccomp_compile(&kind, f);
    *out = *f;
    pthread_mutex_unlock(&pool->mutex);
    return error;
}

static bv_status describe_plan(bv_sandbox_pool *pool, const bv_slot *slot,
                               const bv_sandbox_root *root, bv_buffer *out) {
    bv_sandbox_limits usual;
    struct sock_fprog filter;
    BV_TRY(find_filter(pool, slot, &filter));
    bv_sandbox_limits_default(&usual);
    bv_box_plan plan = {.policy = pool->policy,
                        .memory_counted = slot->group.memory,
                        .warm_python = slot->warm_python,
                        .uid = slot->uid,
                        .files_bytes = usual.files_bytes,
                        .files = usual.files,
                        .scratch = pool->scratch,
                        .root_name = root->name,
                        .filter = filter,
                        .binds = bv_calloc(root->bind_count, sizeof *plan.binds),
                        .bind_count = root->bind_count};
    if (!plan.binds) return bv_fail_memory("a plan of a box");
    look_at_binds(root, plan.binds);
    bv_box_plan_put(out, &plan);
    bv_free(plan.binds);
    return bv_buffer_error(out);
}

static bool knows(const bv_slot *slot, const bv_buffer *plan, size_t *place) {
    for (size_t i = 0; i < BV_SLOT_PLANS; i++) {
        *place = i;
        const bv_buffer *k = &slot->plans[i];
        if (k->size == plan->size && !memcmp(k->data, plan->data, k->size)) return true;
    }
    return false;
}

static bv_status send_plan(const bv_slot *slot, size_t place, const bv_buffer *plan, bool known) {
    bv_buffer payload = {0};
    bv_wire_put(&payload, place);
    bv_wire_put_bytes(&payload, plan->data, known ? 0 : plan->size);
    bv_error *error = bv_buffer_error(&payload);
    if (!error)
        error = bv_wire_send(slot->socket, BV_FRAME_MAKE, payload.data, payload.size, NULL, 0);
    bv_buffer_free(&payload);
    return error;
}

/* A root is checked when a slot builds it; nested, where paths are followed anew, for each box. */
bv_status bv_slot_ask(bv_sandbox_pool *pool, bv_slot *slot, const bv_sandbox_root *root) {
    bv_buffer plan = {0};
    size_t place = 0;
    bv_error *error = describe_plan(pool, slot, root, &plan);
    const bool known = !error && knows(slot, &plan, &place);
    if (!error && (!known || pool->policy == BV_POLICY_NESTED)) error = check_root(root);
    if (!error && !known) place = slot->next_plan++ % BV_SLOT_PLANS;
    if (!error) error = send_plan(slot, place, &plan, known);
    if (!error && !known) {
        bv_buffer_free(&slot->plans[place]);
        slot->plans[place] = plan;
        plan = (bv_buffer){0};
    }
    bv_buffer_free(&plan);
    if (!error) slot->making = true, slot->root = root, slot->asked = bv_clock_ns();
    return error;
}

/* A frame of this type, or the error that came instead. */
static bv_status expect(int socket, bv_frame_type type, bv_frame *frame, bv_buffer *payload) {
    if (!bv_wire_wait(socket, PATIENCE_MS))
        return bv_fail(BV_CODE_FAULT, "a part of the sandbox does not answer");
    BV_TRY(bv_wire_receive(socket, frame, payload));
    if (frame->type == (uint32_t)type) return BV_OK;
    bv_frame_close(frame);
    const bool told = frame->type == BV_FRAME_FAULT && payload->size > 0;
    return bv_fail(BV_CODE_FAULT, "%s", told ? payload->data : "the sandbox is confused");
}

bv_status bv_slot_take(bv_slot *slot, bv_sandbox_box *box) {
    bv_frame frame = {.descriptors = {-1, -1, -1}};
    bv_buffer payload = {0};
    slot->making = false;
    bv_error *error = expect(slot->socket, BV_FRAME_BOX, &frame, &payload);
    if (!error && (payload.size != sizeof(uint64_t) || frame.descriptor_count != 2))
        error = bv_fail(BV_CODE_FAULT, "the sandbox is confused");
    if (!error) {
        uint64_t pid;
        memcpy(&pid, payload.data, sizeof pid);
        box->pid = (pid_t)pid;
        box->control = frame.descriptors[0], box->process = frame.descriptors[1];
        frame.descriptors[0] = frame.descriptors[1] = -1;
        error = expect(box->control, BV_FRAME_READY, &frame, &payload);
    }
    bv_frame_close(&frame);
    bv_buffer_free(&payload);
    if (error) forget_plans(slot); /* it may be a plan that the slot could not follow */
    return bv_while(error, "making a box");
}
