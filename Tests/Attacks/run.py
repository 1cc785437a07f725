# Runs every row, or the one that the aims name; one line of JSON each.
if AIMS.get("list"):
    for name, kind, layers, *_ in ROWS: print(json.dumps([name, kind, layers]))
    sys.exit(0)
AIMS["init"] = os.getppid()
os.chdir(AIMS.get("folder", "."))
for name, kind, layers, only_all, only_named, function in ROWS:
    if only_all and not AIMS["all"] or AIMS.get("only", None if only_named else name) != name: continue
    row = {"name": name, "kind": kind, "layers": layers}
    if only_named: print(json.dumps({**row, "state": "begun", "detail": ""}), flush=True)
    state, detail = in_child(function)
    print(json.dumps({**row, "state": state, "detail": detail}), flush=True)
