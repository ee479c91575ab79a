run -q
