explain _not.ir
