# attack: more jobs in the background than allowed
# verdict: pids
i=0
while [ $i -lt 200 ]; do
    sleep 3 &
    i=$((i + 1))
done
wait
