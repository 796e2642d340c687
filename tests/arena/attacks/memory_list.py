# attack: a list that grows
# verdict: memory
# limits: memory=100M
held = []
for i in range(60):
    held.append(bytearray(8 << 20))
