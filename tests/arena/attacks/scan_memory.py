# attack: looks through its own memory for what its makers left there
# verdict: ok
import ctypes

# Without /proc/self/maps there is no list of what is mapped; what is found by address is its own.
try:
    open("/proc/self/mem", "rb")
    print("BREACH /proc/self/mem")
except OSError:
    pass
print(ctypes.sizeof(ctypes.c_void_p))
