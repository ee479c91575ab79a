explain --no-data _late.cml --pass inline
