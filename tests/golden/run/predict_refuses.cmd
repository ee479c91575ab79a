run {} -q
$ for f in bad_values domain missing_value semicolon ragged empty glob-a latin; do echo "$f.csv:"; "$CMLC" predict predict_refuses.cmlm --in $f.csv --out refused.csv -q 2>&1; echo "[$?]"; done; ls refused.csv 2>/dev/null; ls -A | grep tmp; true
$ "$CMLC" predict predict_refuses.cmlm --in good.csv --out refused.csv --keep towm 2>&1; echo "[$?]"; "$CMLC" predict predict_refuses.cmlm --in good.csv --out nowhere/refused.csv 2>&1; echo "[$?]"
$ head -c 500 predict_refuses.cmlm > predict_short.cmlm; "$CMLC" predict predict_short.cmlm --in good.csv --out refused.csv 2>&1; echo "[$?]"
