explain --no-data _late.cml --stage payers
