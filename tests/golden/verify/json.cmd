$ "$CMLC" verify - --threads 2 --only threads-1 --json - < ways.cml
$ "$CMLC" run ways.cml -q; "$CMLC" verify ways.cml --only again -q --json this.json; grep -c "$(sha256sum <verified.csv | cut -c1-64)" this.json; rm verified.*
$ "$CMLC" verify ways.cml --only again --json no/folder.json; echo "[$?]"
