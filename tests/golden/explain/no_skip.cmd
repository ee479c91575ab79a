explain --no-data _late.cml --skip-pass fold,ded
