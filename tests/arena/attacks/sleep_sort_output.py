# attack: output in drops until the time is over
# verdict: wall
# limits: wall=600ms
import time

for _ in range(1000):
    print("x", flush=True)
    time.sleep(0.05)
