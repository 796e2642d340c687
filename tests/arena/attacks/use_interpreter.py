# attack: takes over the interpreter that it was given: descriptors, words and callers that it holds
# verdict: ok
import atexit
import ctypes
import gc
import os
import sys

for descriptor in range(3, 1024):
    try:
        os.fstat(descriptor)
        print("BREACH descriptor", descriptor)
    except OSError:
        pass
words = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
for i in range(1000):
    if not words[i]:
        break
    if words[i].split(b"=")[0] not in (b"PATH", b"HOME", b"LANG", b"LC_CTYPE", b"TMPDIR") and \
            not words[i].startswith(b"CANARY_"):
        print("BREACH", words[i])
if sys._getframe().f_back:
    print("BREACH a caller")
# What ends an interpreter is the program's to spoil, not its exit code.
gc.collect = atexit._run_exitfuncs = sys.last_exc = None
