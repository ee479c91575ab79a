# The summary without what differs from run to run: times, and sizes of files that name versions.
/^stage  /d
/  +[0-9]+\.[0-9]{3}( +[0-9]+ +[0-9,]+ +[0-9.]+)?$/d
/ shared +[0-9]+ +[0-9,]+$/d
/^bundle /d
