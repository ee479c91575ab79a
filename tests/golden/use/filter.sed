s|looked for in /[^ ]*/modules|looked for in PKGLIBDIR/modules|
