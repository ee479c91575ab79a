$ exec 2>&1; for mode in sometimes force auto off; do echo "--jit $mode"; CML_JIT=/nothing/here "$CMLC" run jit.cml -q --jit $mode; echo "[$?]"; done
