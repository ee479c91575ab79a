explain {} --pass dead
