# attack: traps all signals and waits
# verdict: wall
# limits: wall=400ms
trap '' HUP INT QUIT TERM USR1 USR2 ALRM
while :; do sleep 5; done
