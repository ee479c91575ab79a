explain {} --pass simplify
