# attack: looks around the host
# verdict: ok
for path in /etc/passwd /etc/shadow /root /home /proc/1/cmdline /sys/kernel/uevent_seqnum \
    "$CANARY_FILE"; do
    if [ -d "$path" ]; then ls "$path" >/dev/null 2>&1 && echo "BREACH $path"; fi
    if [ -f "$path" ]; then cat "$path" >/dev/null 2>&1 && echo "BREACH $path"; fi
done
exit 0
