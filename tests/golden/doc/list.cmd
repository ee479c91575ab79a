$ "$CMLC" doc | grep -v "^  "
$ "$CMLC" doc functions | grep -c "^  " | awk "{ print (\$1 > 80) }"
