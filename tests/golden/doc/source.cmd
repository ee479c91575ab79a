doc csv
