# attack: writes over the files of the tests
# verdict: ok
import os

for name in ("test.py", "check.py", "expected.txt", "/work/../tests", "/tests", "tests/1.out"):
    try:
        with open(name, "r", encoding="utf-8") as file:
            print("BREACH", name, file.read(10))
    except OSError:
        pass
os.remove("main.py")
with open("main.py", "w", encoding="utf-8") as file:
    file.write("print('another program')")
