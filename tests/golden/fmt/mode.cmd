$ chmod 640 mode.cml; ln -s mode.cml link.cml
fmt link.cml
$ test -L link.cml && echo "still a link"; ls -l mode.cml | cut -c1-10; cat mode.cml
