$ cp _loose.cml stdout.txt
fmt --stdout stdout.txt tidy.cml
$ cmp stdout.txt _loose.cml && echo "left as it was"
