run {} -p scale=4.0 -q
check {}
