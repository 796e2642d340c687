# attack: fills the disk by dd
# verdict: disk
# limits: files=16M
dd if=/dev/zero of=big bs=1M count=100 2>/dev/null
sleep 1
