/* The payloads of frames: plans and jobs as bytes, and back. */
#include "arena/sandbox_box.h"

#include "base/memory.h"
#include <string.h>

#define COUNT_MAX 65536 /* of anything in a payload */

static bv_status read_count(bv_wire_reader *in, size_t *count) {
    *count = bv_wire_get(in);
    if (in->bad || *count > COUNT_MAX) return bv_fail(BV_CODE_FAULT, "a frame is damaged");
    return BV_OK;
}

void bv_box_plan_put(bv_buffer *out, const bv_box_plan *plan) {
    bv_wire_put(out, plan->policy);
    bv_wire_put(out, plan->memory_counted);
    bv_wire_put(out, plan->warm_python);
    bv_wire_put(out, plan->uid);
    bv_wire_put(out, plan->files_bytes);
    bv_wire_put(out, plan->files);
    bv_wire_put_text(out, plan->scratch);
    bv_wire_put_text(out, plan->root_name);
    bv_wire_put_bytes(out, plan->filter.filter, plan->filter.len * sizeof *plan->filter.filter);
    bv_wire_put(out, plan->bind_count);
    for (size_t i = 0; i < plan->bind_count; i++) {
        bv_wire_put_text(out, plan->binds[i].source);
        bv_wire_put_text(out, plan->binds[i].target);
        bv_wire_put(out, plan->binds[i].optional);
        bv_wire_put(out, plan->binds[i].device);
        bv_wire_put(out, plan->binds[i].inode);
        bv_wire_put(out, plan->binds[i].mode);
    }
}

static bv_status get_filter(bv_wire_reader *in, struct sock_fprog *filter) {
    uint64_t size;
    const char *bytes = bv_wire_get_bytes(in, &size);
    const uint64_t length = size / sizeof *filter->filter;
    if (length == 0 || length > BPF_MAXINSNS || size % sizeof *filter->filter)
        return bv_fail(BV_CODE_FAULT, "a frame is damaged");
    filter->filter = bv_malloc(size);
    if (!filter->filter) return bv_fail_memory("a filter of system calls");
    memcpy(filter->filter, bytes, size);
    filter->len = (unsigned short)length;
    return BV_OK;
}

bv_status bv_box_plan_get(bv_wire_reader *in, bv_box_plan *plan) {
    *plan = (bv_box_plan){0};
    plan->policy = (bv_sandbox_policy)bv_wire_get(in);
    plan->memory_counted = bv_wire_get(in) != 0;
    plan->warm_python = bv_wire_get(in) != 0;
    plan->uid = (uid_t)bv_wire_get(in);
    plan->files_bytes = bv_wire_get(in);
    plan->files = bv_wire_get(in);
    plan->scratch = bv_wire_get_text(in);
    plan->root_name = bv_wire_get_text(in);
    BV_TRY(get_filter(in, &plan->filter));
    BV_TRY(read_count(in, &plan->bind_count));
    plan->binds = bv_calloc(plan->bind_count, sizeof *plan->binds);
    if (!plan->binds) return bv_fail_memory("a plan of a box");
    for (size_t i = 0; i < plan->bind_count; i++) {
        plan->binds[i].source = bv_wire_get_text(in);
        plan->binds[i].target = bv_wire_get_text(in);
        plan->binds[i].optional = bv_wire_get(in) != 0;
        plan->binds[i].device = bv_wire_get(in);
        plan->binds[i].inode = bv_wire_get(in);
        plan->binds[i].mode = bv_wire_get(in);
    }
    return in->bad ? bv_fail(BV_CODE_FAULT, "a frame is damaged") : BV_OK;
}

void bv_box_plan_free(bv_box_plan *plan) {
    bv_free(plan->filter.filter);
    bv_free(plan->binds);
    *plan = (bv_box_plan){0};
}

/* ---- jobs ---- */

static void put_list(bv_buffer *out, const char *const *list) {
    size_t count = 0;
    while (list && list[count]) count++;
    bv_wire_put(out, count);
    for (size_t i = 0; i < count; i++) bv_wire_put_text(out, list[i]);
}

static bv_status get_list(bv_wire_reader *in, char ***list) {
    size_t count;
    BV_TRY(read_count(in, &count));
    *list = bv_calloc(count + 1, sizeof **list);
    if (!*list) return bv_fail_memory("a job");
    for (size_t i = 0; i < count; i++) (*list)[i] = (char *)bv_wire_get_text(in);
    return BV_OK;
}

static const char *const default_env[] = {"PATH=/usr/bin:/bin", "HOME=/work", "LANG=C.UTF-8", NULL};

void bv_box_job_put(bv_buffer *out, const bv_sandbox_job *job) {
    bv_wire_put_bytes(out, &job->limits, sizeof job->limits);
    bv_wire_put(out, job->warm_python);
    put_list(out, job->argv);
    put_list(out, job->env ? job->env : default_env);
    bv_wire_put(out, job->wanted_count);
    for (size_t i = 0; i < job->wanted_count; i++) bv_wire_put_text(out, job->wanted[i].name);
    bv_wire_put(out, job->file_count);
    for (size_t i = 0; i < job->file_count; i++) {
        bv_wire_put_text(out, job->files[i].name);
        bv_wire_put(out, job->files[i].executable);
        const bool sealed = job->files[i].sealed > 0;
        bv_wire_put(out, sealed);
        if (!sealed) bv_wire_put_bytes(out, job->files[i].bytes, job->files[i].size);
    }
}

bv_status bv_box_job_get(bv_wire_reader *in, bv_box_job *job) {
    uint64_t size;
    const char *limits = bv_wire_get_bytes(in, &size);
    if (size != sizeof job->limits) return bv_fail(BV_CODE_FAULT, "a frame is damaged");
    for (size_t i = 0; i < size; i++) ((char *)&job->limits)[i] = limits[i];
    job->warm_python = bv_wire_get(in) != 0;
    BV_TRY(get_list(in, &job->argv));
    BV_TRY(get_list(in, &job->env));
    BV_TRY(read_count(in, &job->wanted_count));
    job->wanted = bv_calloc(job->wanted_count + 1, sizeof *job->wanted);
    if (!job->wanted) return bv_fail_memory("a job");
    for (size_t i = 0; i < job->wanted_count; i++) job->wanted[i] = (char *)bv_wire_get_text(in);
    BV_TRY(read_count(in, &job->file_count));
    job->files = bv_calloc(job->file_count + 1, sizeof *job->files);
    if (!job->files) return bv_fail_memory("a job");
    for (size_t i = 0; i < job->file_count; i++) {
        job->files[i].name = bv_wire_get_text(in);
        job->files[i].executable = bv_wire_get(in) != 0;
        uint64_t bytes;
        if (bv_wire_get(in)) continue; /* sealed */
        job->files[i].bytes = bv_wire_get_bytes(in, &bytes);
        job->files[i].size = bytes;
    }
    return in->bad ? bv_fail(BV_CODE_FAULT, "a frame is damaged") : BV_OK;
}
