doc count
