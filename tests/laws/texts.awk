# SPDX-License-Identifier: Apache-2.0
# Writes texts-a.csv and texts-b.csv, together `rows` rows: texts, days, categories, missing values, numbers of all sizes.
BEGIN {
  srand(43)
  split("red green blue amber teal black white grey pink gold", word, " ")
  for (i = 1; i <= rows; i++) {
    file = i <= rows / 2 ? "texts-a.csv" : "texts-b.csv"
    if (i == 1 || i == rows / 2 + 1) print "id,day,x,y,z,kind,words,price" >file
    x = rand() * 7 - 3; y = exp(4 * rand()); k = 1 + int(9.99 * rand() * rand())
    text = ""
    for (n = int(9 * rand()); n > 0; n--) text = text " " word[1 + int(9.99 * rand() * rand())] int(40 * rand() * rand())
    printf "%d,%d-%02d-%02d,%.9f,%.6f,%s,%s,%s,%.5f\n", i, 2001 + i % 3, 1 + i % 12, 1 + i % 28, x, y,
      i % 23 ? x * 0.3 + rand() : "", word[k], text, 3 * x - log(y) + k + length(text) * rand() / 4 >file
  }
}
