run {} -q
