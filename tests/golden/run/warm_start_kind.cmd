$ sed 's/linear_regression(y ~ f, .*/logistic_regression(hit ~ f, l2 = 1)/; s/other.cmlm/kind.cmlm/' warm_start_kind.cml > one.cml
run one.cml -q
run {} -q
