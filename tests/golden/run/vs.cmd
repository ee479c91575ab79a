run {} -q --json vs.json
$ sed -n '/"evaluations"/,/"expectations"/p' vs.json
