# attack: closes its streams and goes on
# verdict: wall
# limits: wall=400ms
exec 0<&- 1>&- 2>&-
sleep 20
