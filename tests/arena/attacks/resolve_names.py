# attack: asks for names on the network
# verdict: ok
# policy: full
import socket

try:
    print("BREACH", socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM))
except OSError as error:
    print(error)
