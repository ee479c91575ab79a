explain {} --analyze --threads 2 > analyze.txt
$ sed -n '/^stage /,$p' analyze.txt | sed -e 's/[0-9]*\.[0-9][0-9][0-9]$/S/' -e '/^memory/s/[0-9][0-9]*/N/g'
$ ls analyzed.* 2>/dev/null || echo "nothing was written"
explain {} --analyze --threads 1 --format json > analyze.json
$ grep -A3 '"actual"' analyze.json | grep -E 'rows|bytes' | sed 's/bytes": [1-9][0-9]*/bytes": SOME/'
