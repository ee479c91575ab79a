$ { cat whole.csv; awk "BEGIN { for (i = 0; i < 300000; i++) printf \"1234567890\"; print \",1\" }"; } > long.csv
run {} -q
