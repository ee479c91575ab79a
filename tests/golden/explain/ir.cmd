explain --no-data _late.cml --ir
