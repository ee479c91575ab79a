# seconds differ from run to run, digests of bundles with the version
s/  +[0-9]+\.[0-9]{3}  /  SECONDS  /
s/^way  +options  +seconds/way  options  seconds/
# passes come and go
s/--skip-pass [a-z_]+,[a-z_,]+/--skip-pass ALL/
s/(skip-[a-z_]+, )+skip-all/skip-PASS, .., skip-all/
s/"seconds": [0-9.e+-]+/"seconds": TIME/
s/"digest": "[0-9a-f]{64}"/"digest": DIGEST/
s/^(.*)  [0-9a-f]{12}  /\1  DIGEST  /
