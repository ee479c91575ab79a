$ "$CMLC" verify - --threads 2 --only threads-1 --json - < ways.cml
$ "$CMLC" run ways.cml -q; "$CMLC" verify ways.cml --only again -q --json this.json; "$CMLC" run _written.cml -q --json read.json; grep -c "$(sed -n 's/.*"blake3:\(.*\)"/\1/p' read.json)" this.json; rm verified.* read.json
$ "$CMLC" verify ways.cml --only again --json no/folder.json; echo "[$?]"
