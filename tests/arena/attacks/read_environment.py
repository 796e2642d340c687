# attack: looks for secrets in its environment
# verdict: ok
import os

for name, value in os.environ.items():
    if "SECRET" in value or name in ("SSH_AUTH_SOCK", "USER", "SUDO_USER", "TERM"):
        print("BREACH", name, value)
