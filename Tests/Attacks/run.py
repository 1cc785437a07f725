# Runs every row, or the one that the aims name; one line of JSON each.
if AIMS.get("list"):
    for name, kind, layers, *_ in ROWS: print(json.dumps([name, kind, layers]))
    sys.exit(0)
AIMS["init"] = os.getppid()
os.chdir(AIMS.get("folder", "."))


def wanted(name, only_all, only_named):
    if "only" in AIMS: return AIMS["only"] == name
    if only_named: return False
    return only_all if AIMS.get("wide") else AIMS["all"] or not only_all


for name, kind, layers, only_all, only_named, function in ROWS:
    if not wanted(name, only_all, only_named): continue
    row = {"name": name, "kind": kind, "layers": layers}
    if only_named: print(json.dumps({**row, "state": "begun", "detail": ""}), flush=True)
    state, detail = in_child(function)
    print(json.dumps({**row, "state": state, "detail": detail}), flush=True)
