/* SPDX-License-Identifier: Apache-2.0 */
/* Characters; see unicode.h. The tables are sorted and searched by halves. */
#include "base/unicode.h"

#include <string.h>

typedef struct CodeRange {
  uint32_t first, last;
} CodeRange;

typedef struct CaseRange { /* every step-th code point from first to last has its other case `to` further */
  uint32_t first, last;
  int32_t step, to;
} CaseRange;

#include "base/unicode_table.h"

uint32_t utf8_at(const char *p, const char *end, uint32_t *n) {
  const unsigned char *s = (const unsigned char *)p;
  uint32_t c = s[0], more = c < 0x80 ? 0 : c < 0xc2 ? 4 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 4;
  *n = 1;
  if (more == 0)
    return c;
  if (more > 3 || end - p <= (ptrdiff_t)more)
    return 0xfffd;
  c &= 0x3fu >> more;
  for (uint32_t k = 1; k <= more; k++) {
    if ((s[k] & 0xc0) != 0x80)
      return 0xfffd;
    c = c << 6 | (s[k] & 0x3f);
  }
  *n = 1 + more;
  return c;
}

bool utf8_valid(const char *p, size_t n) {
  const unsigned char *s = (const unsigned char *)p, *end = s + n;
  while (s < end) {
    uint64_t word;
    if (end - s >= 8) { /* most texts are ASCII */
      memcpy(&word, s, 8);
      if (!(word & UINT64_C(0x8080808080808080))) {
        s += 8;
        continue;
      }
    }
    unsigned c = *s++;
    if (c < 0x80)
      continue;
    unsigned more = c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
    if ((size_t)(end - s) < more)
      return false;
    if ((c == 0xe0 && *s < 0xa0) || (c == 0xed && *s >= 0xa0) || (c == 0xf0 && *s < 0x90) ||
        (c == 0xf4 && *s >= 0x90))
      return false;
    for (; more; more--, s++) {
      if ((*s & 0xc0) != 0x80)
        return false;
    }
  }
  return true;
}

uint32_t utf8_put(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  uint32_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
  out[0] = (char)(lead[more] | c >> (6 * more));
  for (uint32_t k = 1; k <= more; k++)
    out[k] = (char)(0x80 | (c >> (6 * (more - k)) & 0x3f));
  return 1 + more;
}

bool unicode_is_word(uint32_t c) {
  if (c < 0x80)
    return (c | 32) - 'a' < 26 || c - '0' < 10 || c == '_';
  size_t lo = 0, n = sizeof words / sizeof *words;
  while (n) {
    size_t half = n / 2;
    bool right = words[lo + half].last < c;
    lo = right ? lo + half + 1 : lo;
    n = right ? n - half - 1 : half;
  }
  return lo < sizeof words / sizeof *words && words[lo].first <= c;
}

static uint32_t other_case(const CaseRange *table, size_t count, uint32_t c) {
  size_t lo = 0, n = count;
  while (n) {
    size_t half = n / 2;
    bool right = table[lo + half].last < c;
    lo = right ? lo + half + 1 : lo;
    n = right ? n - half - 1 : half;
  }
  if (lo == count || c < table[lo].first)
    return c;
  const CaseRange *r = &table[lo];
  return (c - r->first) % (uint32_t)r->step ? c : (uint32_t)((int64_t)c + r->to);
}

uint32_t unicode_lower(uint32_t c) {
  return c < 0x80 ? c - 'A' < 26 ? c + 32 : c : other_case(lower, sizeof lower / sizeof *lower, c);
}

uint32_t unicode_upper(uint32_t c) {
  return c < 0x80 ? c - 'a' < 26 ? c - 32 : c : other_case(upper, sizeof upper / sizeof *upper, c);
}
