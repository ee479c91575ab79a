verify {} --threads 1 --quick
