run -q _tiny.cml
$ for n in 0 7 8 100 1000 2000; do head -c $n price.cmlm > cut.cmlm; "$CMLC" predict cut.cmlm --in _rows.csv --out never-cut.csv; echo "[$?]"; done 2>&1; ls never-cut.csv 2>/dev/null; true
