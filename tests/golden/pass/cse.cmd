explain {} --pass cse
