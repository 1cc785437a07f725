# Runs every row, one line of JSON each.
if AIMS.get("list"):
    for name, kind, layers, only_all, _ in ROWS: print(json.dumps([name, kind, layers, only_all]))
    sys.exit(0)
AIMS["init"] = os.getppid()
os.chdir(AIMS.get("folder", "."))
for name, kind, layers, only_all, function in ROWS:
    if only_all and not AIMS["all"]: continue
    state, detail = in_child(function)
    print(json.dumps({"name": name, "kind": kind, "layers": layers, "state": state, "detail": detail}), flush=True)
