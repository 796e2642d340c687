# attack: a fork bomb in Python
# verdict: pids
# verdict user: pids memory
# limits: wall=8s cpu=4s
import os
import time

for _ in range(300):
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
