fmt {}
$ cat untidy.cml
fmt --check {}
fmt {}
$ ls -A .*tmp* 2>/dev/null; true
