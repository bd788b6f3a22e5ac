"""What the scripts here share: the program, its results, and facts that are printed as TAP.

LOAM names the program (build/loam if unset); SLOWDOWN how much slower than a plain build it is.
Every fact is a function that runs in an empty directory of its own.
"""
import base64, fcntl, json, os, pathlib, re, subprocess, sys, tempfile, termios, time

LOAM = os.path.abspath(os.environ.get("LOAM", "build/loam"))
SLOWDOWN = int(os.environ.get("SLOWDOWN", "1"))
FACTS = []


def fact(function):
    FACTS.append(function)
    return function


class Skip(Exception):
    """Raised by a fact that cannot be shown here, with the reason."""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"status {self.code}, stdout {self.out[:300]!r}, stderr {self.err[:300]!r}"


def loam(*args, stdin=b"", **more):
    args = [os.fsencode(a) if isinstance(a, str) else a for a in args]
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([os.fsencode(LOAM), *args], input=stdin, capture_output=True,
                          timeout=120 * SLOWDOWN, **more)
    return Result(done.returncode, done.stdout, done.stderr)


def wait_until_asleep(process):
    """Until the program has read all that was written into its pipe, if there is one, and waits for something."""
    until, calm = time.monotonic() + 60 * SLOWDOWN, 0
    while calm < 5:
        assert process.poll() is None and time.monotonic() < until, "the program does not come to wait"
        unread = process.stdin and any(fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))
        state = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        calm = calm + 1 if state == "S" and not unread else 0
        time.sleep(0.01)


def expect(result, code=0, out=None, err=None):
    """out is exact; err is a regular expression that must be found, or b"" for silence."""
    if isinstance(out, str):
        out = out.encode()
    assert result.code == code, f"status {code} wanted: {result}"
    if out is not None:
        assert result.out == out, f"stdout {out!r} wanted: {result}"
    if err == "":
        assert result.err == b"", f"silence wanted: {result}"
    elif err is not None:
        assert re.search(err, result.err.decode()), f"stderr like {err!r} wanted: {result}"
    return result


def script(text, **more):
    return loam("d", stdin=text, **more)


def filled(count=5, name="d"):
    expect(loam(name, stdin="".join(f"put k{i} v{i}\n" for i in range(count))))


ALL_BYTES = [bytes([i]) for i in range(256)]
ODD = [b"", b"\0", b"a\0b", b"\xff\xfe", b"a,b", b'say "hi"', b"two\r\nlines", b"tab\there", b"\\n",
       "grün €𝄞".encode(), b"\xed\xa0\x80", b"\xc0\x80", b" padded ", b"--yes", b"hex:zz", b"@x",
       b"#no comment", b"'", b'"', b"-", b"x" * 3000, b"\x1b[31m", b"\xc2\x9b", b"\xef\xbb\xbfbom"]


def fill_oddly(name="d"):
    """Every byte and every difficulty, as a key and as a value; in through jsonl."""
    entries = {key: bytes(reversed(key)) * 2 for key in ALL_BYTES + ODD}
    with open("odd.jsonl", "w") as file:
        for key, value in entries.items():
            print(json.dumps({"key_b64": base64.b64encode(key).decode(),
                              "value_b64": base64.b64encode(value).decode()}), file=file)
    expect(loam(name, "import", "odd.jsonl"))
    return entries


def run_fact(number, function, root):
    where = pathlib.Path(root, str(number))
    where.mkdir()
    os.chdir(where)
    try:
        function()
        print(f"ok {number} - {function.__name__}", flush=True)
    except Skip as reason:
        print(f"ok {number} - {function.__name__} # SKIP {reason}", flush=True)
    except Exception as error:
        print(f"not ok {number} - {function.__name__}", flush=True)
        for line in f"{type(error).__name__}: {error}".splitlines():
            print(f"# {line[:2000]}", flush=True)


def run_facts():
    """All of them, or those that the command line names."""
    chosen = [f for f in FACTS if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}")
    if not os.access(LOAM, os.X_OK):
        print(f"Bail out! {LOAM} is not there; build it or set LOAM")
        sys.exit(1)
    for name in ("NO_COLOR", "COLUMNS", "XDG_STATE_HOME"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="loam-cli-") as root:
        for number, function in enumerate(chosen, 1):
            run_fact(number, function, root)
        os.chdir("/")
