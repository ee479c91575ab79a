/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics for other programs: `check --format json`, and SARIF 2.1.0, which code hosts and editors read.
 *
 * SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/ (OASIS standard, 2020). One run; a rule for each
 * code that occurs, with its page as help; lines and columns from 1, columns in characters; notes as
 * related locations. The remedy stands behind the cause. */
#include <string.h>

#include "app/app.h"
#include "app/report.h"

/* ---- Places ---- */

typedef struct Where {
  uint32_t line, col, end_line, end_col;
  const char *file;
} Where;

static bool where(const Diags *d, Span s, Where *out) {
  if (!s.file)
    return false;
  source_position(d->sources, s.file, s.from, &out->line, &out->col);
  source_position(d->sources, s.file, s.to, &out->end_line, &out->end_col);
  out->file = d->sources->file[s.file].path;
  return true;
}

/* ---- JSON ---- */

static void json_where(Json *j, const Diags *d, Span s) {
  Where w;
  if (!where(d, s, &w))
    return;
  json_text(j, "file", w.file);
  json_whole(j, "line", w.line);
  json_whole(j, "column", w.col);
  json_whole(j, "end_line", w.end_line);
  json_whole(j, "end_column", w.end_col);
}

static const char *const severity[] = {"error", "warning", "note"}; /* SARIF's levels too */

static void json_diags(Json *j, const Diags *d) {
  Diag **v = diag_sorted(d);
  for (uint32_t i = 0; i < d->n; i++) {
    const Diag *x = v[i];
    json_open(j, NULL, '{');
    json_text(j, "severity", severity[x->severity]);
    json_text(j, "code", x->code);
    json_where(j, d, x->span);
    json_text(j, "message", x->cause);
    if (x->remedy && *x->remedy)
      json_text(j, "remedy", x->remedy);
    if (x->notes)
      json_open(j, "notes", '[');
    for (const DiagNote *n = x->notes; n; n = n->next) {
      json_open(j, NULL, '{');
      json_text(j, "message", n->text);
      json_where(j, d, n->span);
      json_close(j, '}');
    }
    if (x->notes)
      json_close(j, ']');
    json_close(j, '}');
  }
}

static void json_failure(Json *j, const char *path, const Err *e) {
  json_open(j, NULL, '{');
  json_text(j, "severity", "error");
  json_text(j, "code", e->id);
  json_text(j, "file", path);
  json_text(j, "message", e->cause);
  if (e->remedy[0])
    json_text(j, "remedy", e->remedy);
  json_close(j, '}');
}

/* ---- SARIF ---- */

/* A path as a URI reference: what is no letter, digit or one of -._~/ is written as %XX (RFC 3986). */
static void sarif_uri(Json *j, const char *path) {
  Buf uri = {0};
  buf_text(&uri, path[0] == '/' ? "file://" : "");
  for (const char *p = path; *p; p++) {
    bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                 strchr("-._~/", *p);
    buf_printf(&uri, plain ? "%c" : "%%%02X", (unsigned char)*p);
  }
  json_text(j, "uri", buf_str(&uri));
  buf_free(&uri);
}

static void sarif_location(Json *j, const char *file, const Where *w, const char *message) {
  json_open(j, NULL, '{');
  json_open(j, "physicalLocation", '{');
  json_open(j, "artifactLocation", '{');
  sarif_uri(j, file);
  json_close(j, '}');
  if (w) {
    json_open(j, "region", '{');
    json_whole(j, "startLine", w->line);
    json_whole(j, "startColumn", w->col);
    json_whole(j, "endLine", w->end_line);
    json_whole(j, "endColumn", w->end_col);
    json_close(j, '}');
  }
  json_close(j, '}');
  if (message) {
    json_open(j, "message", '{');
    json_text(j, "text", message);
    json_close(j, '}');
  }
  json_close(j, '}');
}

static void sarif_message(Json *j, const char *cause, const char *remedy) {
  Buf text = {0};
  buf_text(&text, cause);
  if (remedy && *remedy)
    buf_printf(&text, "\n%s", remedy);
  json_open(j, "message", '{');
  json_text(j, "text", buf_str(&text));
  json_close(j, '}');
  buf_free(&text);
}

static void sarif_diags(Json *j, const Diags *d) {
  Diag **v = diag_sorted(d);
  for (uint32_t i = 0; i < d->n; i++) {
    const Diag *x = v[i];
    Where w;
    json_open(j, NULL, '{');
    json_text(j, "ruleId", x->code);
    json_text(j, "level", severity[x->severity]);
    sarif_message(j, x->cause, x->remedy);
    json_open(j, "locations", '[');
    if (where(d, x->span, &w))
      sarif_location(j, w.file, &w, NULL);
    json_close(j, ']');
    if (x->notes)
      json_open(j, "relatedLocations", '[');
    for (const DiagNote *n = x->notes; n; n = n->next)
      if (where(d, n->span, &w))
        sarif_location(j, w.file, &w, n->text);
    if (x->notes)
      json_close(j, ']');
    json_close(j, '}');
  }
}

static void sarif_failure(Json *j, const char *path, const Err *e) {
  json_open(j, NULL, '{');
  if (e->id[0])
    json_text(j, "ruleId", e->id);
  json_text(j, "level", "error");
  sarif_message(j, e->cause, e->remedy);
  json_open(j, "locations", '[');
  sarif_location(j, path, NULL, NULL);
  json_close(j, ']');
  json_close(j, '}');
}

/* "# CML0204: title", a blank line, the page. */
static void sarif_rule(Json *j, const char *code) {
  const char *page = code_page(code);
  size_t title = page ? strcspn(page, ":\n") : 0;
  json_open(j, NULL, '{');
  json_text(j, "id", code);
  if (page && page[title] == ':') {
    size_t from = title + 1 + (page[title + 1] == ' '), to = strcspn(page, "\n");
    Buf line = {0};
    buf_put(&line, page + from, to - from);
    json_open(j, "shortDescription", '{');
    json_text(j, "text", buf_str(&line));
    json_close(j, '}');
    json_open(j, "help", '{');
    json_text(j, "text", page + to + strspn(page + to, "\n"));
    json_close(j, '}');
    buf_free(&line);
  }
  json_close(j, '}');
}

/* ---- Both ---- */

void diagnostics_begin(Diagnostics *d, bool sarif, Buf *out) {
  *d = (Diagnostics){.sarif = sarif, .json = {.out = out}};
  Json *j = &d->json;
  if (sarif) {
    json_open(j, NULL, '{');
    json_text(j, "$schema",
              "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json");
    json_text(j, "version", "2.1.0");
    json_open(j, "runs", '[');
    json_open(j, NULL, '{');
    json_text(j, "columnKind", "unicodeCodePoints");
    json_open(j, "results", '[');
  } else {
    json_open(j, NULL, '[');
  }
}

static void note_code(Diagnostics *d, const char *code) {
  for (uint32_t i = 0; i < d->ncode; i++)
    if (!strcmp(d->code[i], code))
      return;
  if (code[0] && d->ncode < DIAGNOSTICS_CODES) {
    strncpy(d->code[d->ncode], code, sizeof d->code[0] - 1);
    d->ncode++;
  }
}

void diagnostics_add(Diagnostics *d, const Diags *of, const char *path, const Err *e) {
  if (of->sources)
    (d->sarif ? sarif_diags : json_diags)(&d->json, of);
  for (uint32_t i = 0; of->sources && i < of->n; i++)
    note_code(d, of->v[i]->code);
  if (e->code == ST_OK)
    return;
  (d->sarif ? sarif_failure : json_failure)(&d->json, path, e);
  note_code(d, e->id);
}

void diagnostics_end(Diagnostics *d) {
  Json *j = &d->json;
  json_close(j, ']');
  if (!d->sarif) {
    buf_text(j->out, "\n");
    return;
  }
  json_open(j, "tool", '{');
  json_open(j, "driver", '{');
  json_text(j, "name", "cmlc");
  json_text(j, "version", CML_VERSION);
  json_open(j, "rules", '[');
  for (uint32_t i = 0; i < d->ncode; i++)
    sarif_rule(j, d->code[i]);
  json_close(j, ']');
  json_close(j, '}');
  json_close(j, '}');
  json_close(j, '}');
  json_close(j, ']');
  json_close(j, '}');
  buf_text(j->out, "\n");
}
