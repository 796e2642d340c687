# attack: reads the host's files, homes and secrets
# verdict: ok
import glob
import os

LIST = ["/etc/passwd", "/etc/shadow", "/etc/hosts", "/etc/machine-id", "/root/.ssh/id_rsa",
        "/root/.bashrc", "/home", "/var/log", "/proc/version", "/proc/1/environ", "/proc/self/maps",
        "/proc/self/environ", "/proc/kcore", "/proc/kallsyms", "/proc/sys/kernel/hostname",
        "/sys/kernel", "/sys/class/net", "/sys/fs/cgroup", "/run", "/var/run/docker.sock", "/boot"]
for path in LIST + [os.environ.get("CANARY_FILE", "/no")]:
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            open(path, "rb").read(16)
        print("BREACH", path)
    except OSError as error:
        print(path, error.strerror)
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        open(path, "rb").read(16)
        print("BREACH", path)
    except OSError:
        pass
