run {} -q
$ cat svm-out.csv
schema libsvm.txt --format libsvm
