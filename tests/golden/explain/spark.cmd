$ "$CMLC" explain --executor spark spark.cml | sed -n '/^on Spark/,$p'
