// attack: a filter of its own over ours, that allows all, and kills for a call that is allowed
// verdict: failed
#include "attack.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

static int filter(uint32_t number, uint32_t answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {4, code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(void) {
    filter(SYS_setpriority, SECCOMP_RET_ALLOW);
    refused("setpriority", syscall(SYS_setpriority, 0, 0, 1));
    refused("a listener of its own", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 8, NULL));
    fflush(stdout);
    if (filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS)) return 1;
    getppid();
    return 0;
}
