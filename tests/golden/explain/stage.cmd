explain --no-data _late.cml --stage payer.score
explain --no-data _late.cml --stage "visits.train.fit1"
