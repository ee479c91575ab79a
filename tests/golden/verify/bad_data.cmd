verify {} --quick
