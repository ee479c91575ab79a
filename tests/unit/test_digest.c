/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 beside the authors' own: digests of bytes 0, 1, ..., 250, 0, 1, ... as in the official test
 * vectors, of lengths at which chunks, blocks, rows of lanes, pieces and subtrees begin and end. All were
 * computed by the Python package blake3 1.0.11. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/blake3.h"
#include "base/digest.h"

static const struct {
  size_t n;
  const char *hex;
} known[] = {
    {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
    {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
    {63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"},
    {64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
    {65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"},
    {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
    {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
    {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
    {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
    {2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
    {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
    {5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff"},
    {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
    {16385, "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"},
    {17407, "a72c5f9adf091bcc92993b9bacaab60dad4f631fed2ca59e020fc1a33c84095a"},
    {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
    {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
    {262143, "4fbb10c248894f1b56ec8298555b96e597147150a061b1cf1af19f16dbc0557b"},
    {262144, "d57dc906e20d3fd326ffaa85535500486f46a0979f5a323f028dcabfd381fd4a"},
    {262145, "531c319935cf78f34869faebd865e5748266b1799039103bfb851a680d9ed30c"},
    {263168, "016a8ebdc93c38f6e5afbfb937fdc9130808969f33fc82a10a36c92acd21eed7"},
    {524288, "b467afa334cd7dedd76e3a9a4b0e8a5ed278713f2f4e220a682aa30c7fcd140b"},
    {524289, "7978ac1ee80f7f7c115d25551f9c54cb3a2974cfcb8f5ab93de706350d143286"},
    {786433, "5599c118148036c9342db6d8be1d586d21948df6ace7479efb33c6ff37c47ef5"},
    {1000000, "5e82c663d164c54e4fcdfcd70e3ca464662228bdbad45cce2e0c2bff999064ef"},
    {1310721, "5091a4ab664374a784e38657d959db3e3e8ab54f2a53f235e8b269f70a1aecda"},
    {5000001, "f64c8ef65563cff7e1f2659717bf57b177401918900fe83d4f30f9540970a7ba"},
};

static uint8_t *bytes(size_t n) {
  uint8_t *p = malloc(n + 1);
  assert_non_null(p);
  for (size_t i = 0; i < n; i++)
    p[i] = (uint8_t)(i % 251);
  return p;
}

static void lengths(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    uint8_t *p = bytes(known[k].n);
    char got[DATA_DIGEST];
    digest_lines((Bytes){p, known[k].n}, got);
    if (strncmp(got, "blake3:", 7) || strcmp(got + 7, known[k].hex))
      fail_msg("%zu bytes: %s", known[k].n, got);
    free(p);
  }
}

static void files(void **state) {
  (void)state;
  char path[] = "/tmp/cml-digest-XXXXXX", got[DATA_DIGEST];
  Err e;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    uint8_t *p = bytes(known[k].n);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, known[k].n, f), known[k].n);
    fclose(f);
    free(p);
    err_clear(&e);
    assert_int_equal(digest_data(path, NULL, NULL, got, &e), ST_OK);
    assert_string_equal(got + 7, known[k].hex);
  }
  unlink(path);
  err_clear(&e);
  assert_int_equal(digest_data(path, NULL, NULL, got, &e), ST_RESOURCE);
  err_clear(&e);
  assert_int_equal(digest_data("/tmp", NULL, NULL, got, &e), ST_RESOURCE);
}

static bool at_once(void *ctx) {
  (*(int *)ctx)++;
  return true;
}

static void given_up(void **state) {
  (void)state;
  char path[] = "/tmp/cml-digest-XXXXXX", got[DATA_DIGEST];
  int fd = mkstemp(path), asked = 0;
  Err e;
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, 4 * BLAKE3_PIECE), 0);
  close(fd);
  err_clear(&e);
  assert_int_equal(digest_data(path, at_once, &asked, got, &e), ST_CANCEL);
  assert_int_equal(asked, 1);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lengths),
      cmocka_unit_test(files),
      cmocka_unit_test(given_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
