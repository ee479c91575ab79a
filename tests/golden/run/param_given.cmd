run {} -q -p file=good
