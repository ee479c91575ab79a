$ echo the last good one | tee stays.cmlm > stays.csv; "$CMLC" run stays.cml -q; echo "status $?"; cat stays.cmlm stays.csv; ls -A | grep tmp; true
