$ cp _loose.cml check.txt
fmt --check check.txt tidy.cml check.txt
