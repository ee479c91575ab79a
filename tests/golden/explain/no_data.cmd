explain _late.cml
