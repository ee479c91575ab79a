run -q _tiny.cml
$ sed "5s/,[0-9]*\.[0-9]*,/,many,/; 9s/,[0-9]*\.[0-9]*,/,,/; 20s/,[0-9],/,10,/" _rows.csv > bad.csv; echo old > never.csv; "$CMLC" predict price.cmlm --in bad.csv --out never.csv; echo "[$?]"; cat never.csv; ls -A | grep tmp; true
