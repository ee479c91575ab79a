$ "$CMLC" run no_folder.cml -q; echo "status $?"; ls -A | grep no_folder-; ls -A | grep tmp
