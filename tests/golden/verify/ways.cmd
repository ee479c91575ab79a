verify {} --threads 2 -p weight=0.2 --only again,threads-1,threads-7,memory,loopback,jit-off,skip-fold,skip-dead,skip-project,skip-share,skip-cse,skip-all
$ ls verified.* 2>/dev/null || echo "nothing was written"
