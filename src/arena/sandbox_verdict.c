/* Verdicts: their names, and which one follows from what was found. */
#include "arena/sandbox_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char *const verdict_names[BV_VERDICT_COUNT] = {
    "ok",   "failed", "time", "wall",           "memory",
    "pids", "output", "disk", "forbidden-call", "sandbox-fault"};
static const char *const policy_names[] = {"full", "nested"};

const char *bv_sandbox_verdict_name(bv_sandbox_verdict verdict) {
    BV_ASSERT((unsigned)verdict < BV_VERDICT_COUNT);
    return verdict_names[verdict];
}

const char *bv_sandbox_policy_name(bv_sandbox_policy policy) {
    return policy_names[policy == BV_POLICY_NESTED];
}

bool bv_sandbox_policy_parse(const char *name, bv_sandbox_policy *out) {
    for (int i = 0; i < 2; i++) {
        if (strcmp(name, policy_names[i])) continue;
        *out = (bv_sandbox_policy)i;
        return true;
    }
    return false;
}

void bv_sandbox_limits_default(bv_sandbox_limits *limits) {
    *limits = (bv_sandbox_limits){.cpu_ns = 2000000000,
                                  .wall_ns = 4000000000,
                                  .memory_bytes = 256000000,
                                  .output_bytes = 1000000,
                                  .files_bytes = 64000000,
                                  .files = 4096,
                                  .pids = 16,
                                  .descriptors = 256,
                                  .stack_bytes = 8 << 20};
}

/* The first limit that was passed. Supervision's own finding comes first, since it ended the run;
 * what only shows in the end's counters follows. A signal is no finding: anybody can send one to
 * itself, or lower the limit that it tells of. */
static bv_sandbox_verdict find_limit(const bv_sandbox_box *b, const bv_sandbox_result *r) {
    const bv_sandbox_limits *l = &b->job->limits;
    if (b->trigger != BV_VERDICT_OK) return b->trigger;
    if (b->memory_hit) return BV_VERDICT_MEMORY;
    if (b->pids_hit) return BV_VERDICT_PIDS;
    if (r->cpu_ns > l->cpu_ns) return BV_VERDICT_TIME;
    if (b->reported && b->report.disk_full) return BV_VERDICT_DISK;
    if (!b->slot->group.memory && r->peak_memory_bytes > l->memory_bytes) return BV_VERDICT_MEMORY;
    if (r->wall_ns > l->wall_ns + b->delay_ns) return BV_VERDICT_WALL;
    return BV_VERDICT_OK;
}

static bv_sandbox_verdict find(const bv_sandbox_box *b, const bv_sandbox_result *r) {
    const bool explained = b->trigger != BV_VERDICT_OK || b->memory_hit;
    if (b->fault[0] || (!b->reported && !explained && !r->killed_by_caller))
        return BV_VERDICT_FAULT;
    if (b->reported && b->report.forbidden >= 0) return BV_VERDICT_FORBIDDEN_CALL;
    const bv_sandbox_verdict limit = find_limit(b, r);
    if (limit != BV_VERDICT_OK) return limit;
    return r->exit_code == 0 && !r->killed_by_caller ? BV_VERDICT_OK : BV_VERDICT_FAILED;
}

static void explain(const bv_sandbox_box *b, bv_sandbox_result *r) {
    const bv_sandbox_limits *l = &b->job->limits;
    char *text = r->reason;
    const size_t size = sizeof r->reason;
    switch (r->verdict) {
    case BV_VERDICT_TIME:
        snprintf(text, size, "used %.2f s of CPU time; %.2f s are allowed",
                 1e-9 * (double)r->cpu_ns, 1e-9 * (double)l->cpu_ns);
        break;
    case BV_VERDICT_WALL:
        snprintf(text, size, "ran for %.2f s; %.2f s are allowed", 1e-9 * (double)r->wall_ns,
                 1e-9 * (double)l->wall_ns);
        break;
    case BV_VERDICT_MEMORY:
        snprintf(text, size, "needed more memory than the %llu bytes that are allowed",
                 (unsigned long long)l->memory_bytes);
        break;
    case BV_VERDICT_PIDS:
        snprintf(text, size,
                 "wanted more processes and threads at once than the %u that are "
                 "allowed",
                 l->pids);
        break;
    case BV_VERDICT_OUTPUT:
        snprintf(text, size, "wrote more than the %llu bytes of output that are allowed",
                 (unsigned long long)l->output_bytes);
        break;
    case BV_VERDICT_DISK:
        snprintf(text, size, "filled its folder: %llu bytes in %u files are allowed",
                 (unsigned long long)l->files_bytes, l->files);
        break;
    case BV_VERDICT_FORBIDDEN_CALL:
        snprintf(text, size, "called %s",
                 bv_seccomp_name(b->report.forbidden_arch, b->report.forbidden));
        break;
    case BV_VERDICT_FAULT:
        snprintf(text, size, "%s", b->fault[0] ? b->fault : "the box ended without a report");
        break;
    case BV_VERDICT_FAILED:
        if (r->killed_by_caller)
            snprintf(text, size, "was killed by its caller");
        else if (b->report.exec_errno == ELIBACC)
            snprintf(text, size, "cannot be executed: the interpreter that it names is not there");
        else if (b->report.exec_errno)
            snprintf(text, size, "cannot be executed: %s", strerror(b->report.exec_errno));
        else if (r->signal)
            snprintf(text, size, "ended by signal %d (%s)", r->signal, strsignal(r->signal));
        else
            snprintf(text, size, "ended with exit code %d", r->exit_code);
        break;
    default:
        text[0] = 0;
    }
    text[strcspn(text, "\n")] = 0;
}

void bv_verdict_decide(const bv_sandbox_box *b, bv_sandbox_result *r) {
    const bv_box_report *p = &b->report;
    const uint64_t limit = b->job->limits.memory_bytes;
    r->policy = b->pool->policy;
    r->killed_by_caller = b->killed_by_caller;
    r->exit_code = b->reported && WIFEXITED(p->wait_status) ? WEXITSTATUS(p->wait_status) : -1;
    r->signal = b->reported && WIFSIGNALED(p->wait_status) ? WTERMSIG(p->wait_status) : 0;
    r->cpu_ns = b->cpu_ns;
    r->peak_memory_bytes = b->peak_bytes;
    if (b->reported) {
        /* A control group has counted the box's own work too. */
        r->cpu_ns =
            r->cpu_ns > p->own_cpu_ns && b->slot->group.cpu ? r->cpu_ns - p->own_cpu_ns : r->cpu_ns;
        if (p->cpu_ns > r->cpu_ns) r->cpu_ns = p->cpu_ns;
        if (!b->peak_exact && p->peak_rss > r->peak_memory_bytes)
            r->peak_memory_bytes = p->peak_rss;
        /* A group counts by many pages at once: what is smaller, and shares what it executes with
         * others, is nothing there. */
        if (!r->peak_memory_bytes) r->peak_memory_bytes = p->peak_rss < limit ? p->peak_rss : limit;
        r->wall_ns = p->wall_ns;
    }
    r->verdict = find(b, r);
    explain(b, r);
}
