# SPDX-License-Identifier: Apache-2.0
"""`cmlc check --format json | sarif` over every wrong program of the golden tests: one document, valid, that says what the text says.
SARIF is held against the schema of its standard (fetched by scripts/setup-oracle)."""
import glob
import json
import os
import re
import subprocess

import kit

schema = os.path.join(kit.ROOT, "deps", "schemas", "sarif-2.1.0.json")
folders = ["check", "syntax", "use"]
programs = sorted(p for f in folders for p in glob.glob(os.path.join(kit.ROOT, "tests", "golden", f, "*.cml")))


def run(*arguments):
    p = subprocess.run([kit.CMLC, "check", *arguments], capture_output=True, text=True)
    return p.returncode, p.stdout, p.stderr


missing = "no such program.cml"
status, out, err = run("--format", "sarif", *programs, missing)
kit.check(status >= 3 and not err, "sarif: a failing status, nothing on standard error", err)
log = json.loads(out)
sarif_run = log["runs"][0]
results = sarif_run["results"]
if os.path.exists(schema):
    import jsonschema

    errors = list(jsonschema.Draft7Validator(json.load(open(schema))).iter_errors(log))
    kit.check(not errors, f"sarif: {len(results)} results are valid SARIF 2.1.0", errors[:3])
else:
    print("# no SARIF schema: scripts/setup-oracle fetches it")
rules = {r["id"]: r for r in sarif_run["tool"]["driver"]["rules"]}
kit.check({r["ruleId"] for r in results} == set(rules), "sarif: a rule for each code, and no other")
kit.check(all(r["help"]["text"].strip() and r["shortDescription"]["text"] for r in rules.values()), "sarif: each rule has its page")

status, out, err = run("--format", "json", *programs, missing)
found = json.loads(out)
kit.check(status >= 3 and not err and len(found) == len(results), "json: one array of as many entries")

status, out, err = run(*programs, missing)
text = [m for m in re.findall(r"^(?:.*?:(\d+):(\d+): )?(error|warning) (CML\d+):", err, re.M)]
told = sorted((int(a or 0), int(b or 0), s, c) for a, b, s, c in text)
kit.check(told == sorted((x.get("line", 0), x.get("column", 0), x["severity"], x["code"]) for x in found),
          "json says what the text says")


def region(r):
    place = [x["physicalLocation"].get("region", {}) for x in r["locations"]] or [{}]
    return place[0].get("startLine", 0), place[0].get("startColumn", 0)


kit.check(told == sorted((*region(r), r["level"], r["ruleId"]) for r in results), "sarif says what the text says")
status, out, err = run("--format", "sarif", os.path.join(kit.ROOT, "examples", "cars", "cars.cml"), "--no-data")
kit.check(status == 0 and json.loads(out)["runs"][0]["results"] == [], "sarif: a good program has no results", out)
kit.done()
