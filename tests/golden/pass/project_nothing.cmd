explain {} --pass project
