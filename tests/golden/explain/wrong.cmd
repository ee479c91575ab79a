explain --no-data _wrong.cml --ir
