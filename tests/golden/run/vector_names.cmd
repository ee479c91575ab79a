run {} -q --json names.json
$ sed -n '/"features"/,/]/p' names.json
