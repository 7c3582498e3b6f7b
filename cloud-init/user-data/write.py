# Writes the files that the payload `b` holds, and the mark `m` that all of them are there. The power may go at any point: then
# there is no mark, and the next boot begins again.
i = iter(b.decode().split("\0")[1:])
files = list(zip(i, i, i))
for path, mode, content in files:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8", newline="") as f:
        os.fchmod(f.fileno(), int(mode, 8))
        f.write(content)
os.sync()
for path, *_ in files:
    os.rename(path + ".new", path)
os.makedirs(os.path.dirname(m), exist_ok=True)
os.sync()
with open(m + ".new", "w", encoding="utf-8") as f:
    f.write(h)
os.sync()
os.rename(m + ".new", m)
os.sync()
