$ sed "s/$/\r/" whole.csv > crlf.csv
run {} -q
