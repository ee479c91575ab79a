$ CML_PATH=/nowhere:_path $CMLC check library.cml
check {}
