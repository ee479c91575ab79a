/* SPDX-License-Identifier: Apache-2.0 */
/* The native methods of cml.spark.Native: Java's bytes in, vm/site.h, Java's bytes out.
 *
 * Read the Call first: every method enters one and leaves it. Below it are strings, arrays, then what native
 * code calls in Java (the iterator over records, ranges of files, the stream of a text file), then the
 * methods in the order of Native.java.
 *
 * Rules. A failure is a NativeException; but what a call into Java threw is thrown on as it is (Spark acts
 * on its own exceptions), and no other call is made into Java before that. Arrays are copied in pieces by
 * Get/SetByteArrayRegion: one copy, no collector is held up, and no thread is long away from a safepoint.
 * Local references are freed where they are made in a loop. No signal handler is set here, no locale
 * changed, and no thread attached. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <jni.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "base/arena.h"
#include "base/unicode.h"
#include "stdlib/registry.h"
#include "vm/blas.h"
#include "vm/engine.h"
#include "vm/site.h"

/* What Java's classes are called inside the virtual machine: found once, when the library is loaded. */
static struct {
  jclass exception, files;
  jmethodID make, more, next, read, fetch;
} java;

typedef struct Home { /* what Java holds of a site */
  Site *site;
  StdlibRegistry space;
} Home;

/* ---- A call ---- */

typedef struct Call {
  JNIEnv *env;
  jthrowable cause; /* what a call into Java threw; a local reference */
  uint32_t control; /* of floating point, as it was found */
  Err e;
} Call;

/* Other libraries of the process can leave denormals flushed to zero, or another rounding, in a thread: a few
 * bits of a sum would depend on where it was made. The register is written only where it differs, since that
 * empties the pipeline and reading does not; and is put back, since it is the thread's. */
enum { FLOAT_CONTROL = 0xffc0, FLOAT_DEFAULT = 0x1f80 };

static Call call_of(JNIEnv *env) {
  Call c = {.env = env, .control = FLOAT_DEFAULT};
#ifdef __SSE2__
  c.control = _mm_getcsr();
  if ((c.control & FLOAT_CONTROL) != FLOAT_DEFAULT)
    _mm_setcsr(FLOAT_DEFAULT);
#endif
  return c;
}

static jstring text_of(Call *c, const char *s);

static jthrowable exception_of(Call *c) {
  JNIEnv *env = c->env;
  jstring id = text_of(c, c->e.id), where = text_of(c, c->e.where);
  jstring cause = text_of(c, c->e.cause), remedy = text_of(c, c->e.remedy);
  if (!id || !where || !cause || !remedy)
    return NULL;
  return (*env)->NewObject(env, java.exception, java.make, (jint)c->e.code, id, where, cause, remedy);
}

/* The end of every method: true when it went well, else an exception is on its way. */
static bool call_end(Call *c) {
  JNIEnv *env = c->env;
#ifdef __SSE2__
  if ((c->control & FLOAT_CONTROL) != FLOAT_DEFAULT)
    _mm_setcsr(c->control);
#endif
  if (!c->e.code && !c->cause)
    return true;
  jthrowable t = c->cause ? c->cause : (*env)->ExceptionCheck(env) ? NULL : exception_of(c);
  if (t) /* else memory ran out, which is pending */
    (*env)->Throw(env, t);
  return false;
}

/* After a call into Java: did it throw? Then everything ends with that. */
static bool threw(Call *c) {
  JNIEnv *env = c->env;
  jthrowable t = (*env)->ExceptionOccurred(env);
  if (!t)
    return false;
  (*env)->ExceptionClear(env);
  c->cause = t;
  err_set(&c->e, ST_RESOURCE, "CML0532", NULL, "what is read ended with an exception of Java");
  return true;
}

/* ---- Strings and arrays ---- */

static Status no_memory(Call *c) {
  return err_memory(&c->e);
}

/* JNI's own UTF-8 is not UTF-8 beyond 16 bits; so both ways are by UTF-16. */
static jstring text_of(Call *c, const char *s) {
  size_t n = strlen(s), at = 0;
  jchar *wide = mem_alloc((n + 1) * sizeof *wide);
  if (!wide)
    return (*c->env)->NewStringUTF(c->env, "");
  for (const char *p = s, *end = s + n; p < end;) {
    uint32_t len, u = utf8_at(p, end, &len);
    p += len;
    if (u >= 0x10000) {
      wide[at++] = (jchar)(0xd800 + ((u - 0x10000) >> 10));
      u = 0xdc00 + ((u - 0x10000) & 0x3ff);
    }
    wide[at++] = (jchar)u;
  }
  jstring out = (*c->env)->NewString(c->env, wide, (jsize)at);
  mem_free(wide);
  return out;
}

/* mem_alloc'ed; NULL: no memory. */
static char *chars_of(Call *c, jstring s) {
  JNIEnv *env = c->env;
  size_t n = s ? (size_t)(*env)->GetStringLength(env, s) : 0;
  jchar *wide = mem_alloc((n + 1) * sizeof *wide);
  char *out = mem_alloc(3 * n + 1), *p = out;
  if (wide && out && n)
    (*env)->GetStringRegion(env, s, 0, (jsize)n, wide);
  for (size_t i = 0; wide && out && i < n; i++) {
    uint32_t u = wide[i];
    if (u >= 0xd800 && u < 0xdc00 && i + 1 < n && wide[i + 1] >= 0xdc00 && wide[i + 1] < 0xe000)
      u = 0x10000 + ((u - 0xd800) << 10) + (wide[++i] - 0xdc00u);
    p += utf8_put(p, u);
  }
  mem_free(wide);
  if (!wide || !out) {
    mem_free(out);
    no_memory(c);
    return NULL;
  }
  *p = 0;
  return out;
}

enum { PIECE = 1 << 20 }; /* bytes that are copied at once */

static void copy_in(JNIEnv *env, jbyteArray a, size_t n, uint8_t *to) {
  for (size_t at = 0; at < n; at += PIECE) {
    size_t some = n - at < PIECE ? n - at : PIECE;
    (*env)->GetByteArrayRegion(env, a, (jsize)at, (jsize)some, (jbyte *)(to + at));
  }
}

/* Room for n bytes in b, whose content may go. */
static bool room_for(Buf *b, size_t n) {
  if (b->cap < n) {
    buf_free(b);
    b->p = mem_alloc64(n);
    b->cap = b->p ? n : 0;
  }
  b->n = 0;
  return b->cap >= n;
}

/* The bytes of an array in b, replacing what is there: aligned as records need it. None: an array that is
 * null. */
static Status bytes_of(Call *c, jbyteArray a, Buf *b) {
  size_t n = a ? (size_t)(*c->env)->GetArrayLength(c->env, a) : 0;
  if (!room_for(b, n ? n : 1))
    return no_memory(c);
  if (n)
    copy_in(c->env, a, n, b->p);
  b->n = n;
  return ST_OK;
}

static jbyteArray array_of(Call *c, const Buf *b) {
  JNIEnv *env = c->env;
  if (c->e.code || c->cause)
    return NULL;
  if (b->bad) {
    no_memory(c);
    return NULL;
  }
  if (b->n > INT32_MAX - 8) {
    err_set(&c->e, ST_RESOURCE, "CML0532", "Take more partitions (--conf spark.cml.partitions=N).",
            "a result of %zu MB is more than an array of Java can hold", b->n >> 20);
    return NULL;
  }
  jbyteArray a = (*env)->NewByteArray(env, (jsize)b->n);
  for (size_t at = 0; a && at < b->n; at += PIECE) {
    size_t some = b->n - at < PIECE ? b->n - at : PIECE;
    (*env)->SetByteArrayRegion(env, a, (jsize)at, (jsize)some, (const jbyte *)(b->p + at));
  }
  return a; /* NULL: an OutOfMemoryError is pending */
}

/* Ends a method that gives bytes, which are freed; `any`: there are some to give. */
static jbyteArray call_give(Call *c, Buf *out, bool any) {
  jbyteArray array = any ? array_of(c, out) : NULL;
  buf_free(out);
  return call_end(c) ? array : NULL;
}

static Home *home_of(Call *c, jlong handle) {
  if (!handle)
    err_set(&c->e, ST_FAULT, "CML0601", NULL, "a native method was called without a site");
  return (Home *)(uintptr_t)handle;
}

static jlong handle_of(void *p) {
  return (jlong)(uintptr_t)p;
}

/* ---- What is called in Java ---- */

typedef struct Rows { /* an Iterator<byte[]> as Records; it belongs to the call that is under way */
  Call *call;
  jobject it;
  Buf copy;
  bool ended;
} Rows;

static Status next_record(void *ctx, Bytes *record, Err *e) {
  Rows *r = ctx;
  Call *c = r->call;
  JNIEnv *env = c->env;
  *record = (Bytes){0};
  if (r->ended)
    return ST_OK;
  if (!c->cause) {
    bool more = (*env)->CallBooleanMethod(env, r->it, java.more);
    if (!threw(c) && !more) {
      r->ended = true;
      return ST_OK;
    }
  }
  jbyteArray a = c->cause ? NULL : (*env)->CallObjectMethod(env, r->it, java.next);
  if (c->cause || threw(c))
    return err_set(e, c->e.code, c->e.id, NULL, "%s", c->e.cause);
  Status st = a ? bytes_of(c, a, &r->copy) : err_set(&c->e, ST_FAULT, "CML0601", NULL, "a record is null");
  (*env)->DeleteLocalRef(env, a);
  *record = buf_bytes(&r->copy);
  return st ? err_set(e, st, c->e.id, c->e.remedy, "%s", c->e.cause) : ST_OK;
}

enum { AT_ONCE = 8 << 20 }; /* bytes of a file: a store of objects is asked for as many in one request */

/* n bytes of a file that a task reads. */
static Status fetch_bytes(void *ctx, uint64_t handle, uint64_t at, size_t n, void *out, Err *e) {
  Rows *r = ctx;
  Call *c = r->call;
  JNIEnv *env = c->env;
  for (size_t got = 0; got < n && !c->cause;) {
    size_t some = n - got < AT_ONCE ? n - got : AT_ONCE;
    jbyteArray a = (*env)->CallStaticObjectMethod(env, java.files, java.fetch, (jlong)handle,
                                                  (jlong)(at + got), (jint)some);
    if (!threw(c))
      copy_in(env, a, some, (uint8_t *)out + got);
    if (a)
      (*env)->DeleteLocalRef(env, a);
    got += some;
  }
  return c->cause ? err_set(e, c->e.code, c->e.id, NULL, "%s", c->e.cause) : ST_OK;
}

typedef struct Splitter { /* what Java holds of a text file that is divided */
  SiteSplit *split;
  Call *call; /* that is under way */
  jobject in; /* these two are global references */
  jbyteArray room;
  ByteSource source;
} Splitter;

enum { ROOM = 1 << 18 };

static Status read_stream(void *ctx, void *out, size_t room, size_t *n, Err *e) {
  Splitter *s = ctx;
  Call *c = s->call;
  JNIEnv *env = c->env;
  jint want = room < ROOM ? (jint)room : ROOM, got = 0;
  *n = 0;
  while (want && !got && !c->cause) {
    got = (*env)->CallIntMethod(env, s->in, java.read, s->room, 0, want);
    threw(c);
  }
  if (c->cause)
    return err_set(e, c->e.code, c->e.id, NULL, "%s", c->e.cause);
  if (got > want)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a stream gave more bytes than were asked for");
  if (got > 0) {
    (*env)->GetByteArrayRegion(env, s->room, 0, got, out);
    *n = (size_t)got;
  }
  return ST_OK;
}

/* ---- A site ---- */

/* A static native method of cml.spark.Native, declared and defined. */
#define METHOD(type, name, ...) \
  JNIEXPORT type JNICALL Java_cml_spark_Native_##name(JNIEnv *env, jclass cls UNUSED, ##__VA_ARGS__)
#define UNUSED __attribute__((unused))
#define NATIVE(type, name, ...)       \
  METHOD(type, name, ##__VA_ARGS__); \
  METHOD(type, name, ##__VA_ARGS__)

NATIVE(jint, block) {
  (void)env;
  return BLOCK;
}

NATIVE(jlong, open, jbyteArray program, jlong memory, jstring folder) {
  Call c = call_of(env);
  Buf text = {0};
  Home *h = mem_alloc(sizeof *h);
  char *scratch = chars_of(&c, folder);
  if (!h)
    no_memory(&c);
  else if (scratch && bytes_of(&c, program, &text) == ST_OK)
    site_open(buf_bytes(&text), stdlib_registry(&h->space), memory > 0 ? (uint64_t)memory : 0, scratch,
              &h->site, &c.e);
  buf_free(&text);
  mem_free(scratch);
  if (c.e.code) {
    mem_free(h);
    h = NULL;
  }
  return call_end(&c) ? handle_of(h) : 0;
}

NATIVE(void, close, jlong site) {
  if (!site)
    return;
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  site_close(h->site);
  mem_free(h);
  call_end(&c);
}

NATIVE(void, put, jlong site, jint kind, jint id, jlong version, jbyteArray value) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  Buf b = {0};
  if (h && bytes_of(&c, value, &b) == ST_OK)
    site_put(h->site, (uint32_t)kind, (uint32_t)id, (uint64_t)version, buf_bytes(&b), &c.e);
  buf_free(&b);
  call_end(&c);
}

NATIVE(jlong, version, jlong site, jint kind, jint id) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  uint64_t version = h ? site_version(h->site, (uint32_t)kind, (uint32_t)id) : 0;
  return call_end(&c) ? (jlong)version : 0;
}

NATIVE(jbyteArray, scan, jlong site, jbyteArray request, jint part, jobject records) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  Buf ask = {0}, out = {0};
  Rows rows = {.call = &c, .it = records};
  Records in = {next_record, fetch_bytes, &rows};
  if (h && bytes_of(&c, request, &ask) == ST_OK)
    site_scan(h->site, buf_bytes(&ask), (uint32_t)part, &in, &out, &c.e);
  buf_free(&rows.copy);
  buf_free(&ask);
  return call_give(&c, &out, true);
}

/* The arrays of an array: *v is mem_alloc'ed, each of its bytes likewise. */
static Status all_bytes(Call *c, jobjectArray a, Buf **v, uint32_t *n) {
  JNIEnv *env = c->env;
  *n = a ? (uint32_t)(*env)->GetArrayLength(env, a) : 0;
  *v = mem_alloc((*n ? *n : 1) * sizeof **v);
  if (!*v)
    *n = 0;
  Status st = *v ? ST_OK : no_memory(c);
  for (uint32_t i = 0; i < *n && !st; i++) {
    jbyteArray one = (*env)->GetObjectArrayElement(env, a, (jsize)i);
    st = bytes_of(c, one, *v + i);
    (*env)->DeleteLocalRef(env, one);
  }
  return st;
}

NATIVE(jbyteArray, merge, jlong site, jbyteArray request, jobjectArray results) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  Buf ask = {0}, out = {0}, *v = NULL;
  uint32_t n = 0;
  Bytes *each = NULL;
  if (h && bytes_of(&c, request, &ask) == ST_OK && all_bytes(&c, results, &v, &n) == ST_OK) {
    each = mem_alloc((n ? n : 1) * sizeof *each);
    for (uint32_t i = 0; each && i < n; i++)
      each[i] = buf_bytes(v + i);
    if (each)
      site_merge(h->site, buf_bytes(&ask), each, n, &out, &c.e);
    else
      no_memory(&c);
  }
  for (uint32_t i = 0; i < n; i++)
    buf_free(v + i);
  mem_free(v);
  mem_free(each);
  buf_free(&ask);
  return call_give(&c, &out, true);
}

NATIVE(void, drop, jlong site, jint stage) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  if (h)
    site_drop(h->site, (uint32_t)stage);
  call_end(&c);
}

NATIVE(jlongArray, held, jlong site) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  jlongArray out = NULL;
  if (h) {
    SiteHeld held = site_held(h->site);
    jlong v[3] = {(jlong)held.memory, (jlong)held.scratch, (jlong)held.blocks};
    out = (*env)->NewLongArray(env, 3);
    if (out)
      (*env)->SetLongArrayRegion(env, out, 0, 3, v);
  }
  return call_end(&c) ? out : NULL;
}

/* ---- Rows that are written ---- */

typedef struct Writing { /* what Java holds of them */
  SiteWriter *w;
  Rows rows; /* its iterator is a global reference */
  Records in;
} Writing;

static void writing_free(JNIEnv *env, Writing *w) {
  if (w->rows.it)
    (*env)->DeleteGlobalRef(env, w->rows.it);
  buf_free(&w->rows.copy);
  mem_free(w);
}

NATIVE(jlong, write, jlong site, jbyteArray request, jint part, jobject records) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  Buf ask = {0};
  Writing *w = h ? mem_alloc(sizeof *w) : NULL;
  if (w) {
    w->rows = (Rows){.call = &c, .it = (*env)->NewGlobalRef(env, records)};
    w->in = (Records){next_record, fetch_bytes, &w->rows};
  }
  if (h && (!w || !w->rows.it))
    no_memory(&c);
  else if (h && bytes_of(&c, request, &ask) == ST_OK)
    site_write(h->site, buf_bytes(&ask), (uint32_t)part, &w->in, &w->w, &c.e);
  buf_free(&ask);
  if (c.e.code && w) {
    writing_free(env, w);
    w = NULL;
  }
  return call_end(&c) ? handle_of(w) : 0;
}

NATIVE(jbyteArray, writeNext, jlong writer) {
  Call c = call_of(env);
  Writing *w = (Writing *)(uintptr_t)writer;
  Buf out = {0};
  w->rows.call = &c;
  site_write_next(w->w, &out, &c.e);
  return call_give(&c, &out, out.n || out.bad);
}

NATIVE(jbyteArray, writeEnd, jlong writer) {
  Call c = call_of(env);
  Writing *w = (Writing *)(uintptr_t)writer;
  Buf out = {0};
  w->rows.call = &c;
  site_write_end(w->w, &out, &c.e);
  writing_free(env, w);
  return call_give(&c, &out, true);
}

/* ---- Text files ---- */

static void splitter_free(JNIEnv *env, Splitter *s) {
  if (s->split)
    site_split_end(s->split);
  if (s->in)
    (*env)->DeleteGlobalRef(env, s->in);
  if (s->room)
    (*env)->DeleteGlobalRef(env, s->room);
  mem_free(s);
}

/* The two references; false: no memory, or that is pending in Java. */
static bool splitter_refs(Call *c, Splitter *s, jobject in) {
  JNIEnv *env = c->env;
  jbyteArray room = (*env)->NewByteArray(env, ROOM);
  s->in = (*env)->NewGlobalRef(env, in);
  s->room = room ? (*env)->NewGlobalRef(env, room) : NULL;
  if (room)
    (*env)->DeleteLocalRef(env, room);
  if (!s->in || !s->room)
    no_memory(c);
  return s->in && s->room;
}

NATIVE(jlong, split, jlong site, jint stage, jint file, jstring path, jobject in) {
  Call c = call_of(env);
  Home *h = home_of(&c, site);
  Splitter *s = h ? mem_alloc(sizeof *s) : NULL;
  char *name = h ? chars_of(&c, path) : NULL;
  if (h && !s)
    no_memory(&c);
  if (s && name && splitter_refs(&c, s, in)) {
    s->call = &c;
    s->source = (ByteSource){read_stream, s};
    site_split(h->site, (uint32_t)stage, (uint32_t)file, name, &s->source, &s->split, &c.e);
  }
  mem_free(name);
  if (c.e.code && s) {
    splitter_free(env, s);
    s = NULL;
  }
  return call_end(&c) ? handle_of(s) : 0;
}

NATIVE(jlong, splitRows, jlong splitter) {
  Call c = call_of(env);
  Splitter *s = (Splitter *)(uintptr_t)splitter;
  Buf record = {0};
  uint32_t rows = 1;
  jlong all = 0;
  s->call = &c;
  while (rows && site_split_next(s->split, &record, &rows, &c.e) == ST_OK)
    all += rows;
  buf_free(&record);
  return call_end(&c) ? all : 0;
}

NATIVE(jbyteArray, splitNext, jlong splitter) {
  Call c = call_of(env);
  Splitter *s = (Splitter *)(uintptr_t)splitter;
  Buf record = {0};
  uint32_t rows = 0;
  s->call = &c;
  site_split_next(s->split, &record, &rows, &c.e);
  return call_give(&c, &record, rows > 0);
}

NATIVE(void, splitEnd, jlong splitter) {
  if (!splitter)
    return;
  Call c = call_of(env);
  splitter_free(env, (Splitter *)(uintptr_t)splitter);
  call_end(&c);
}

/* ---- Loading ---- */

static jmethodID method_of(JNIEnv *env, const char *cls, const char *name, const char *type) {
  jclass local = (*env)->FindClass(env, cls);
  jmethodID m = local ? (*env)->GetMethodID(env, local, name, type) : NULL;
  if (local)
    (*env)->DeleteLocalRef(env, local);
  return m;
}

/* OpenBLAS is shipped to executors beside this library. */
static void look_beside_us(void) {
  Dl_info self;
  char folder[PATH_MAX];
  if (!dladdr((void *)(uintptr_t)look_beside_us, &self) || !self.dli_fname ||
      strlen(self.dli_fname) >= PATH_MAX)
    return;
  strcpy(folder, self.dli_fname);
  char *slash = strrchr(folder, '/');
  if (slash) {
    *slash = 0;
    blas_folder(folder);
  }
}

#define TEXT "Ljava/lang/String;"

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved) {
  (void)reserved;
  JNIEnv *env;
  if ((*vm)->GetEnv(vm, (void **)&env, JNI_VERSION_10) != JNI_OK)
    return JNI_ERR;
  look_beside_us();
  jclass exception = (*env)->FindClass(env, "cml/spark/NativeException");
  jclass files = exception ? (*env)->FindClass(env, "cml/spark/Fetch") : NULL;
  bool found = files && (java.files = (*env)->NewGlobalRef(env, files)) != NULL &&
               (java.fetch = (*env)->GetStaticMethodID(env, files, "read", "(JJI)[B")) != NULL &&
               (java.exception = (*env)->NewGlobalRef(env, exception)) != NULL &&
               (java.make = (*env)->GetMethodID(env, java.exception, "<init>",
                                                "(I" TEXT TEXT TEXT TEXT ")V")) != NULL &&
               (java.more = method_of(env, "java/util/Iterator", "hasNext", "()Z")) != NULL &&
               (java.next = method_of(env, "java/util/Iterator", "next", "()Ljava/lang/Object;")) != NULL &&
               (java.read = method_of(env, "java/io/InputStream", "read", "([BII)I")) != NULL;
  return found ? JNI_VERSION_10 : JNI_ERR; /* what was not found is pending as an error of Java */
}
