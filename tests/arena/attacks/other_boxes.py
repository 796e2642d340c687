# attack: looks for the files of other boxes
# verdict: ok
import os

for folder in ("/tmp", "/var/tmp", "/dev/shm", "/work", "/run"):
    try:
        names = set(os.listdir(folder)) - {"main.py"}
    except OSError:
        continue
    if names:
        print("BREACH", folder, names)
