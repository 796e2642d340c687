# attack: talks to services of the host
# verdict: ok
import os
import socket

port = int(os.environ.get("CANARY_PORT", "9"))
for host in ("127.0.0.1", "0.0.0.0", "::1", "169.254.169.254"):
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(1)
        s.connect((host, port))
        print("BREACH", host)
    except OSError as error:
        print(host, error)
