// SPDX-License-Identifier: Apache-2.0
// json-to-csv.js FILE.json: prints an array of flat objects as CSV (RFC 4180, LF). The columns are in the order in
// which keys first appear; null, and a key that a record has not, are empty fields.
'use strict';

const records = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));
const columns = [...new Set(records.flatMap((record) => Object.keys(record)))];

function field(value) {
  if (value === null || value === undefined) return '';
  const text = String(value);
  return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}

const lines = [columns.map(field).join(',')];
for (const record of records) lines.push(columns.map((name) => field(record[name])).join(','));
process.stdout.write(lines.join('\n') + '\n');
