schema schema.csv --option null= --option null=NA
$ { printf 'data d {\n    from   csv("schema.csv", null = ["", "NA"])\n'; "$CMLC" schema schema.csv --option null= --option null=NA | sed 's/^/    /'; printf '}\n\nfeatures f of d {\n    group = one_hot(group)\n}\n\nmodel m = linear_regression(id ~ f, l2 = 1)\n\nevaluate m on d { rmse }\n'; } > pasted.cml
check pasted.cml
fmt pasted.cml
run pasted.cml -q
$ sed '/schema {/,/^    }/d' pasted.cml > without.cml
schema without.cml
schema json-a.json
schema nothing.csv
