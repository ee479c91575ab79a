$ for m in 'linear_regression(y ~ f)' 'linear_regression(y ~ f, solver = lbfgs)' 'logistic_regression(late ~ f)' 'kmeans(f, k = 2)'; do sed "s/^model line .*/model line = $m/" too_huge.cml > _m.cml; "$CMLC" run _m.cml -q; echo "[$?]" >&2; done
$ sed "s/huge = huge/huge = huge \/ 1e150/" too_huge.cml > _m.cml; "$CMLC" run _m.cml
