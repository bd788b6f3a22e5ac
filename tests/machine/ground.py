"""What the facts about the machine share: small file systems, the shell on a terminal, limits, big files.

Everything is mounted in a mount namespace of our own, so that it is gone when we are, whatever ended us; a
loop device goes with its mount. Where the system does not allow that, the facts that need it are skipped.
"""
import contextlib, ctypes, os, pathlib, pty, re, resource, select, shutil, signal, subprocess, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from facts import LOAM, SLOWDOWN, Skip, expect, fact, loam, run_facts, script, wait_until_asleep

MEMORY = ("--memory", "4MiB")  # memtables of 1 MiB: flushes come early
NO_ROOM = r"No space left|make room on the disk"


# ---- file systems ----------------------------------------------------------------------------

def enter_own_namespace():
    """Runs this script again in a mount namespace of its own, as root of a user namespace if need be."""
    if "LOAM_MACHINE" in os.environ:
        return
    for flags, name in ((["--mount"], "own"), (["--mount", "--map-root-user"], "mapped")):
        try:
            allowed = subprocess.run(["unshare", *flags, "true"], stderr=subprocess.DEVNULL).returncode == 0
        except FileNotFoundError:
            break
        if allowed:
            os.execvpe("unshare", ["unshare", *flags, sys.executable, *sys.argv], {**os.environ, "LOAM_MACHINE": name})
    os.environ["LOAM_MACHINE"] = "none"


def run_or_skip(*command):
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Skip(f"{command[0]} is not installed")
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise Skip(f"{command[0]} is not allowed: {words[0]}")


@contextlib.contextmanager
def mounted(*args, at="m"):
    if os.environ["LOAM_MACHINE"] == "none":
        raise Skip("a mount namespace is not allowed")
    os.makedirs(at, exist_ok=True)
    run_or_skip("mount", *args, at)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def small_tmpfs(options="size=12m", at="m"):
    return mounted("-t", "tmpfs", "-o", options, "none", at=at)


@contextlib.contextmanager
def small_disk(kind="ext4", megabytes=12, at="m", below=None):
    """A real file system in a file with holes, which is in memory, so that its syncs cost little."""
    make = shutil.which(f"mkfs.{kind}", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if make is None:
        raise Skip(f"mkfs.{kind} is not installed")
    with small_tmpfs(f"size={below or megabytes + 8}m", at=f"below-{at}") as lower:
        with open(f"{lower}/image", "wb") as file:
            file.truncate(megabytes << 20)
        run_or_skip(make, *(["-q", "-m", "0"] if kind.startswith("ext") else ["-q"]), f"{lower}/image")
        with mounted("-o", "loop", f"{lower}/image", at=at):
            yield at


def free_bytes(path):
    """Asked of the system, which may still be giving back what was deleted."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def fill(path):
    """Takes the last byte. The file is the ballast: whoever removes it has made room."""
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"b" * size)
    return path


# ---- entries -----------------------------------------------------------------------------------

def value_of(number):
    return f"{number:06}" * 60


def write_entries(path, count, first=0):
    with open(path, "w") as file:
        for number in range(first, first + count):
            file.write(f"k{number:06}\t{value_of(number)}\n")
    return path


def stored_up_to(err):
    said = re.findall(rb"stored up to line (\d+)", err)
    return int(said[-1]) if said else 0


def expect_prefix(store, at_least, *options):
    """The store holds the first entries of write_entries(), at least so many, each whole."""
    lines = expect(loam(*options, store, "scan"), err="").out.decode().splitlines()
    assert len(lines) >= at_least, f"{at_least} entries were acknowledged, {len(lines)} are there"
    for number, line in enumerate(lines):
        assert line == f"k{number:06}\t{value_of(number)}", f"entry {number} is {line[:60]}..."
    return len(lines)


def expect_sound(store):
    """A kill, or a device that died, may leave what nothing refers to: that is no fault."""
    *remarks, said = expect(loam(store, "verify"), err="").out.decode().splitlines()
    assert said == "ok" and all(": no fault: " in line for line in remarks), remarks + [said]


# ---- processes ---------------------------------------------------------------------------------

def limited(*limits, also=None):
    """For preexec_fn: (resource.RLIMIT_X, number) pairs, soft and hard."""
    def apply():
        for which, number in limits:
            resource.setrlimit(which, (number, number))
        if also:
            also()
    return apply


def not_killed(result):
    assert result.code >= 0, f"a signal ended it: {result}"
    assert b"Sanitizer" not in result.err, result
    return result


class Terminal:
    """The interactive shell, which goes on after errors."""

    def __init__(self, *args, **more):
        self.leader, follower = pty.openpty()
        env = {**os.environ, "TERM": "dumb", "HOME": os.getcwd()}
        self.process = subprocess.Popen([LOAM, *MEMORY, *args], stdin=follower, stdout=follower, stderr=follower,
                                        env=env, start_new_session=True, **more)
        os.close(follower)
        self.wait_for(r"Type help")

    def wait_for(self, pattern, seconds=60):
        """Reads until the pattern has come; answers all that was read."""
        shown, until = "", time.monotonic() + seconds * SLOWDOWN
        while time.monotonic() < until:
            if select.select([self.leader], [], [], 0.2)[0]:
                try:
                    shown += os.read(self.leader, 65536).decode(errors="replace")
                except OSError:
                    break
            if re.search(pattern, shown):
                return shown
        raise AssertionError(f"{pattern!r} does not come, but {shown[-600:]!r}")

    def ask(self, line, pattern):
        os.write(self.leader, line.encode() + b"\n")
        # What is typed is echoed: the answer is behind the end of that line.
        return self.wait_for(r"\n(?s:.*)(?:" + pattern + ")")

    def end(self, line="exit"):
        if line is not None:
            os.write(self.leader, line.encode() + b"\n")
        with contextlib.suppress(OSError):
            while os.read(self.leader, 65536):
                pass
        code = self.process.wait(60 * SLOWDOWN)
        os.close(self.leader)
        return code

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.end(None)


@contextlib.contextmanager
def shell_on_terminal(*args, **more):
    shell = Terminal(*args, **more)
    try:
        yield shell
    finally:
        if shell.process.poll() is None:
            shell.process.kill()
            shell.process.wait()
