run {} -q --json class_metrics.json
$ sed -n '/"evaluations"/,/"exports"/p' class_metrics.json
