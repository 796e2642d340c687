# attack: a thread bomb in Python
# verdict: pids
import threading
import time

for _ in range(200):
    try:
        threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
    except RuntimeError:
        pass
time.sleep(2)
