/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay FILE ...: a main() for a fuzz target without a fuzzer. Each file is handed to the target once, from
 * memory of exactly its size (so that the address sanitizer sees a read past the end), and the empty input
 * first.
 * */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
  int bad = 1;
  uint8_t *data = NULL;
  long size = -1;
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return 1;
  }
  if (fseek(file, 0, SEEK_END) == 0)
    size = ftell(file);
  if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
    data = malloc(size > 0 ? (size_t)size : 1);
  if (data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size) {
    LLVMFuzzerTestOneInput(data, (size_t)size);
    bad = 0;
  } else {
    fprintf(stderr, "%s: cannot be read\n", path);
  }
  free(data);
  fclose(file);
  return bad;
}

int main(int argc, char **argv) {
  int bad = 0;
  uint8_t nothing = 0;
  LLVMFuzzerTestOneInput(&nothing, 0);
  for (int i = 1; i < argc; i++) {
    fprintf(stderr, "%s\n", argv[i]);
    bad |= replay(argv[i]);
  }
  return bad;
}
