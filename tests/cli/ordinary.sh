#!/usr/bin/env bash
# Ordinary programs are the same outside and in boxes: what they write, exit code and signal.
. "$BEAVER_SOURCE/tests/support/cli.sh"
cd "$folder" || exit 1
umask 077 # as in a box
policies=
for p in full nested; do
    beaver sandbox run --policy $p -- true >/dev/null 2>&1 && policies="$policies $p"
done

# Outside a program has a folder of its own, too, and an environment as a box gives it.
# outside NAME COMMAND...: out-NAME and code-NAME, the latter as a shell counts signals.
outside() {
    local name=$1
    shift
    rm -rf work && mkdir work
    [ ${#files[@]} = 0 ] || cp "${files[@]}" work/
    { (cd work && exec env -i PATH=/usr/bin:/bin HOME="$PWD" LANG=C.UTF-8 TMPDIR="$PWD" \
        setsid -w "$@") >"out-$name" 2>"err-$name" </dev/null; } 2>/dev/null
    echo $? >"code-$name"
}

# same [POLICIES:] COMMAND...: with the files that are there.
same() {
    local where=$policies
    case $1 in *:) where=${1%:} && shift ;; esac
    outside host "$@"
    for p in $where; do
        case " $policies " in *" $p "*) ;; *) continue ;; esac
        local places=()
        for f in "${files[@]}"; do places+=(--place "$f"); done
        beaver sandbox run --policy "$p" --cpu 30s --wall 60s --memory 600M --pids 64 \
            "${places[@]}" --verdict v -- "$@" >out-box 2>err-box </dev/null
        python3 -c "import json; v = json.load(open('v'))
print(128 + v['signal'] if v['signal'] else v['exit_code'])" >code-box
        if ! cmp -s out-host out-box || ! cmp -s code-host code-box; then
            fail "$p: ${files[*]} $* : $(cat v)"
            diff out-host out-box | head -5
            diff err-host err-box | head -10
            diff code-host code-box
        fi
    done
}

# ---- the shell and its tools ----
files=()
same sh -c 'seq 1000 | sort -rn | head -3 | tr "\n" " "; echo; exit 7'
same sh -c 'kill -TERM $$'
same sh -c 'kill -XFSZ $$'
same sh -c 'for i in 1 2 3; do (echo $i; exit $i) & wait $!; echo $?; done'
same sh -c 'mkdir -p a/b && echo x > a/b/c && cp -r a d && mv d e && ln -s c e/b/l && find . | sort
    cat e/b/l && rm -r a && ls -R && du -a e | wc -l'
same full: sh -c 'echo "echo script" > s && chmod +x s && ./s && stat -c %a s'
same full: sh -c 'touch -d 2001-02-03 f && stat -c %y f && cp -p f g && stat -c %Y g'
same sh -c 'touch f && ls f; mkfifo p; (echo through > p &); cat p'
same sh -c 'tar cf t.tar --owner=0 --mtime=@0 . 2>/dev/null; tar tf t.tar | sort
    gzip t.tar; zcat t.tar.gz | tar tf - | wc -l'
same sh -c 'trap "echo caught" USR1; kill -USR1 $$; trap "" PIPE; ulimit -n 20; ulimit -n'
same sh -c 'yes | head -100000 | md5sum; printf %s "äöü" | wc -m; date -u -d @0; expr 6 \* 7'
same sh -c 'cat <<X | sed s/a/b/ | awk "{print NF, \$2}"
a b c
X'
same sh -c 'timeout 0.2 sleep 5; echo $?; nice true 2>/dev/null; nohup echo hi 2>/dev/null
    xargs -P 4 -n 1 echo < /dev/null; mktemp -u XXXXXX | wc -c; tty; stty 2>/dev/null
    test -t 0; echo $?'
same bash -c 'coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x
    a=(1 2 3); echo ${#a[@]}'

# ---- Python ----
cat >threads.py <<'X'
import concurrent.futures, queue, signal, subprocess, sys, tempfile, threading, os, shutil, socket
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda n: n * n, range(100))))
print(subprocess.run(["sort", "-r"], input="a\nb\n", capture_output=True, text=True).stdout)
print(subprocess.run("exit 3", shell=True).returncode)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(9)"]).pid > 0)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x")
    with open(path, "w") as file: file.write("hi")
    print(os.stat(path).st_size, shutil.copyfile(path, path + "2") == path + "2")
    with tempfile.NamedTemporaryFile() as file: print(file.write(b"x"))
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.pause()
a, b = socket.socketpair()
a.sendall(b"ping"); print(b.recv(9)); a.settimeout(0.01)
try: a.recv(1)
except TimeoutError: print("timeout")
print(os.cpu_count() > 0, len(os.sched_getaffinity(0)) > 0, sys.getrecursionlimit())
os.system("echo from system")
sys.exit(5)
X
cat >async.py <<'X'
import asyncio
async def main():
    p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print(await p.communicate(b"hello"))
    print(await asyncio.gather(*(asyncio.sleep(0.01, i) for i in range(5))))
    print(await asyncio.to_thread(sum, [1, 2]))
asyncio.run(main())
X
cat >many.py <<'X'
import multiprocessing as m, mmap, os
from multiprocessing import shared_memory
def square(x): return x * x
def put(q): q.put(os.getpid() > 0)
if __name__ == "__main__":
    with m.Pool(3) as pool: print(pool.map(square, range(10)))
    q, lock, value = m.Queue(), m.Lock(), m.Value("i", 7)
    p = m.Process(target=put, args=(q,)); p.start(); print(q.get()); p.join()
    with lock: print(value.value)
    s = shared_memory.SharedMemory(create=True, size=1000); s.buf[0] = 3; print(s.buf[0])
    s.close(); s.unlink()
    with m.Manager() as manager: print(list(manager.list([1, 2])))
X
cat >files.py <<'X'
import fcntl, mmap, os, resource, select, sqlite3, zipfile, shelve, locale, time, decimal, hashlib
with open("f", "w+b") as f:
    f.write(b"0" * 8192); f.flush(); fcntl.lockf(f, fcntl.LOCK_EX)
    with mmap.mmap(f.fileno(), 0) as m: m[4096] = 49; print(m.find(b"1"))
db = sqlite3.connect("d.sqlite"); db.execute("create table t(x)")
db.execute("insert into t values (1)"); db.commit()
print(db.execute("select * from t").fetchall())
with zipfile.ZipFile("z.zip", "w") as z: z.write("f")
print(zipfile.ZipFile("z.zip").namelist())
with shelve.open("s", "n") as s: s["a"] = 1; print(list(s.items()))
r, w = os.pipe(); e = select.epoll(); e.register(r); os.write(w, b"x"); print(len(e.poll(1)))
pid = os.fork()
if pid == 0: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), locale.setlocale(locale.LC_ALL, "C.UTF-8"))
print(hashlib.sha256(b"x").hexdigest(), len(os.urandom(9)), decimal.Decimal(1) / 7)
X
cat >attributes.py <<'X'
import os, shutil
open("a", "w").close(); os.chmod("a", 0o640); os.utime("a", (1, 2)); shutil.copy2("a", "b")
s = os.stat("b"); print(oct(s.st_mode), s.st_mtime)
shutil.make_archive("x", "gztar", "."); print(os.path.exists("x.tar.gz"))
X
files=(threads.py async.py many.py files.py attributes.py)
same python3 -I threads.py
same python3 -I async.py
same full: python3 -I many.py
same python3 -I files.py
same full: python3 -I attributes.py

# ---- C ----
if command -v gcc >/dev/null; then
    cat >work.c <<'X'
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static void *add(void *n) {
    char *p[100];
    for (int i = 0; i < 100; i++) memset(p[i] = malloc(10000 + i), 1, 10000);
    for (int i = 0; i < 100; i++) free(p[i]);
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&mutex), sum += (long)n, pthread_mutex_unlock(&mutex);
    return NULL;
}
static int deep(int n) {
    volatile char block[1000];
    block[0] = 1;
    return n ? deep(n - 1) + block[0] : 0;
}
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static void *cancelled(void *x) { for (;;) sleep(1); return x; }
int main(int argc, char **argv) {
    pthread_t t[8];
    pthread_attr_t attributes;
    pthread_barrier_init(&barrier, NULL, 8);
    pthread_attr_init(&attributes), pthread_attr_setstacksize(&attributes, 1 << 20);
    for (long i = 0; i < 8; i++) pthread_create(&t[i], &attributes, add, (void *)i);
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    printf("%ld %d\n", sum, deep(6000));
    pthread_create(&t[0], NULL, cancelled, NULL), pthread_cancel(t[0]);
    void *result;
    pthread_join(t[0], &result), printf("%d\n", result == PTHREAD_CANCELED);
    sem_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(shared, 1, 0);
    if (fork() == 0) sem_post(shared), _exit(3);
    sem_wait(shared);
    int status, ends[2], value = 4096;
    wait(&status), printf("%d\n", WEXITSTATUS(status));
    char *sorted[] = {"sort", NULL};
    pid_t pid;
    posix_spawn_file_actions_t actions;
    pipe(ends), posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    fflush(stdout), posix_spawnp(&pid, "sort", &actions, NULL, sorted, (char *[]){NULL});
    dprintf(ends[1], "b\na\n"), close(ends[0]), close(ends[1]), waitpid(pid, &status, 0);
    FILE *p = popen("echo popen; exit 4", "r");
    char line[100];
    printf("%s", fgets(line, sizeof line, p)), printf("%d\n", WEXITSTATUS(pclose(p)));
    printf("%s", setlocale(LC_ALL, "C.UTF-8")), printf(" %d\n", MB_CUR_MAX > 1);
    errno = 0, value = isatty(1), printf("%d %d\n", value, errno);
    value = ioctl(1, 0x5412, "x"), printf("%d %d\n", value, errno == ENOTTY);
    value = fcntl(1, 12345), printf("%d %d\n", value, errno == EINVAL);
    int e = eventfd(3, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec soon = {.it_value = {0, 1000000}};
    timerfd_settime(timer, 0, &soon, NULL);
    struct pollfd both[2] = {{e, POLLIN, 0}, {timer, POLLIN, 0}};
    usleep(20000), printf("%d\n", poll(both, 2, 1000));
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof *numbers, compare), printf("%d\n", numbers[0]);
    FILE *f = tmpfile();
    printf("%d\n", f != NULL && fputs("x", f) >= 0 && fclose(f) == 0);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *big = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, flags, -1, 0);
    big[63 << 20] = 1, big = mremap(big, 64 << 20, 128 << 20, MREMAP_MAYMOVE);
    printf("%d\n", big[63 << 20]);
    printf("%d\n", madvise(big, 1 << 20, MADV_DONTNEED));
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    printf("%zd\n", send(ends[0], "hi", 2, 0));
    if (argc > 1) fflush(stdout), raise(atoi(argv[1]));
    return getenv("HOME") ? 42 : 1;
}
X
    mkdir bin
    if gcc -w -O1 -o bin/work work.c -pthread; then
        files=(bin/work)
        same sh -c 'exec ./work'
        for signal in 6 11 9 8 25; do same sh -c "exec ./work $signal"; done
    fi
fi
finish
