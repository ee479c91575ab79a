explain {} --pass fold
