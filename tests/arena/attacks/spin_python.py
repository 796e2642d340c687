# attack: spins in Python and catches all signals
# verdict: time
# limits: cpu=300ms wall=8s
import signal

for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
