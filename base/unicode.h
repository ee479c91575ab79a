/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of UTF-8 texts: decoding, which ones make words, their lower and upper case. The tables are
 * those of one version of Unicode and part of the meaning of a program, so they change with a version of
 * ours only (scripts/dev/unicode-table writes them). */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at p, and its length in *n; a byte that begins none is its own code point 0xfffd of
 * length 1. p < end. */
uint32_t utf8_at(const char *p, const char *end, uint32_t *n);
/* Is all of it UTF-8? Nothing longer than it must be, no surrogates (Unicode 15, table 3-7). */
bool utf8_valid(const char *p, size_t n);
/* Writes a code point, up to 4 bytes; how many. */
uint32_t utf8_put(char *out, uint32_t c);

/* Letters, digits and other numbers, marks, and `_`. */
bool unicode_is_word(uint32_t c);
/* One code point to one (UnicodeData's simple mapping): no final sigma, dotted capital I becomes i. */
uint32_t unicode_lower(uint32_t c);
/* Likewise: sharp s, which has no single capital, stays. */
uint32_t unicode_upper(uint32_t c);

#endif
