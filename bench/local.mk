# SPDX-License-Identifier: Apache-2.0
# bench: workloads beside their peers; nothing here is built by make (bench/run builds limits.c).

EXTRA_DIST += \
  bench/README.md bench/generate.py bench/limits.c bench/peer.py bench/requirements.txt bench/run bench/setup bench/spark \
  bench/workloads
