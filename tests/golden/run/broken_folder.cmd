$ mkdir folder
run {} -q
