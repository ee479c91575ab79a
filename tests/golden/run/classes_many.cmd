$ awk 'BEGIN { print "id,x"; for (i = 0; i < 1001; i++) print i "," i }' > classes_many.csv
run {} -q
