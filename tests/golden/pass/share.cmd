explain {} --pass share
