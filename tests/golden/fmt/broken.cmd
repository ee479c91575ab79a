$ cp _loose.cml broken.txt; cp _broken.cml broken2.txt; "$CMLC" fmt broken2.txt broken.txt; echo "[$?]"; cmp broken2.txt _broken.cml && cat broken.txt
