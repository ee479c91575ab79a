explain {} --pass pushdown
