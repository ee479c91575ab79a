explain --no-data _late.cml -p rare=7 --seed 3 --stage visits.train.fit0
