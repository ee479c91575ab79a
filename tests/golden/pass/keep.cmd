explain {} --pass keep
