explain --no-data _late.cml --format json > forms.json
$ grep -c '"name": "visits.train.fit0"' forms.json
$ sed -n '/"values": \[/,/^      \]/p' forms.json | head -12
explain --no-data _late.cml --format dot
explain --no-data _late.cml --format svg > forms.svg
$ grep -c '^<svg' forms.svg
explain --no-data _late.cml --format png
