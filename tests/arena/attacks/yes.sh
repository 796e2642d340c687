# attack: the same line without an end
# verdict: output
yes beaver | head -c 50000000
