doc standardise
