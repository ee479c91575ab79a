/* SPDX-License-Identifier: Apache-2.0 */
/* The wire between cmlc and a Spark driver, a process that it starts: frames over one socket in a private
 * folder. See spark/README.md for the frames. */
#ifndef VM_EXEC_CHANNEL_H
#define VM_EXEC_CHANNEL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "vm/spark.h"

typedef enum FrameKind { /* what is asked */
  FRAME_OPEN = 1,
  FRAME_SOURCE,
  FRAME_PUT,
  FRAME_REDUCE,
  FRAME_WRITE,
  FRAME_DROP,
  FRAME_FILES,
  FRAME_RANGE,
  FRAME_SCHEMA,
  FRAME_CANCEL,
  FRAME_BYE,
  FRAME_PLAIN,
  FRAME_TAILS
} FrameKind;

typedef struct ChannelHooks { /* what comes before an answer; each may be NULL */
  void (*progress)(void *ctx, uint64_t done, uint64_t total);
  void (*note)(void *ctx, const char *text);
  Status (*rows)(void *ctx, Bytes record, Err *e);
  void *ctx;
} ChannelHooks;

typedef struct Channel Channel;
/* Starts the driver, and does not wait for it. */
Status channel_start(const SparkOptions *o, const atomic_bool *cancel, Channel **out, Err *e);
/* Sends a frame and waits for its answer. *answer is replaced. Where `cancel` turns true what is asked for is
 * given up: ST_CANCEL. */
Status channel_ask(Channel *c, FrameKind kind, const Buf *body, const ChannelHooks *hooks, Buf *answer,
                   Err *e);
/* Ends the driver, and waits for its end; what does not end within some seconds is killed. */
void channel_close(Channel *c);

void frame_str(Buf *b, const char *s);  /* u32 length, bytes; NULL as "" */
Bytes frame_take_str(Rd *r);

#endif
