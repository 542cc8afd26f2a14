"""A8, A9, A12 and A13: what may be tried by way of a review."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from tests.attacks.repository_rows import prompts
from tests.attacks.rig import SESSION, Fort, asks, fort_of
from tests.faults.catalogue import Promise, Row, Trial
from tests.policy.test_review_attacks import ATTACKS
from tests.repos import git, make_repo, write
from tests.sim.scripts import answer

JSON = [("content-type", "application/json")]


def session_ids() -> list[str]:
    """What is no id of a session, for a path."""
    bad = [
        "..", "../..", "../../api/restart/llama-swap", "%2e%2e", "%2e%2e%2fapi%2frestart%2fllama-swap", "..%2f..", "%00",
        f"{SESSION}%00", f"{SESSION}/..", f"{SESSION}%0d%0ax:%20y", f"{SESSION}x", SESSION[:-1], SESSION.upper(), "x" * 8000,
        "-", "_", "%", "%zz", "%u0031", "*", "' OR 1=1 --", "';DROP TABLE review_sessions;--", "1", "0", "null", "undefined",
        "__proto__", "constructor", "$(id)", "`id`", "{}", "[]", "<script>", SESSION.replace("-", ""), f"{{{SESSION}}}",
        f"urn:uuid:{SESSION}", f" {SESSION}", "3f0c1d7e-0000-1000-8000-000000000000", "٣f0c1d7e-0000-4000-8000-000000000000",
    ]  # fmt: skip
    more = [f"{SESSION[:at]}{char}{SESSION[at + 1 :]}" for at in range(0, 36, 3) for char in "g/.%\\;~ü!:@&="]
    return [item.replace(" ", "%20") for item in bad + more]


def ids(trial: Trial) -> None:
    fort = fort_of(trial)
    daemon = fort.daemon
    found_any = 0
    for number, bad in enumerate(session_ids()[:: 1 if trial.whole else 3]):
        path = bad.encode().decode("latin-1")
        for method, where in (
            ("GET", f"/review/api/sessions/{path}"),
            ("POST", f"/review/session/{path}/resolve"),
            ("GET", f"/review/session/{path}"),
            ("GET", f"/page/{path}"),
        ):
            found = asks(daemon, method, where, JSON, b'{"feedback":"lgtm"}' if method == "POST" else None)
            shown = "html" in found.headers.get("content-type", "")
            refused = found.status in (400, 404, 405, 414, 431) or (
                shown and where.startswith("/review/session")
            )
            assert refused, (where[:200], found)
            found_any += not refused
        if number < 60:
            body = {"sessionId": bad, "feedback": "lgtm"}
            for path in ("/review/api/resolve", "/review/api/lgtm", "/review/api/continue"):
                assert daemon.send("POST", path, body).status in (400, 404), (path, bad[:200])
        trial.tried()
    assert fort.services.changes() == []


def elsewhere(fort: Fort) -> list[str]:
    """Folders that are no business of ours."""
    home = fort.daemon.home
    write(home, {"plain-file": "x"})
    outside = make_repo(fort.folder / "outside", {"secret.py": "OUTSIDE = 1\n"})
    write(outside, {"secret.py": "OUTSIDE = 2\n"})
    for name, target in (("link-out", outside), ("link-loop", home / "link-loop"), ("link-root", Path("/"))):
        (home / name).unlink(missing_ok=True)
        os.symlink(target, home / name)
    if not (home / "fifo").exists():
        os.mkfifo(home / "fifo")
    return [
        str(outside), f"{home}/link-out", f"{home}/link-out/.", f"{home}/link-loop", f"{home}/link-root/etc",
        f"{home}/../{outside.name}", f"{home}/project/../../{fort.folder.name}/outside", f"{home}/plain-file", f"{home}/fifo",
        f"{home}/missing", f"{home}/plain-file/x", "/", "/etc", "/root", "/proc", "/proc/self", "/proc/self/cwd",
        "/proc/self/root/etc", "//proc/1/cwd", "/dev", "/dev/null", "/dev/fd/0", "/sys", "", ".", "..", "project", "./project",
        "~", "~root", "~/project", f"{home}\n", f"{home}/project\n--upload-pack=x", f"{home}\0", f"{home}\x1b[2J",
        f"{home}/" + "x" * 5000, f"/{'a/' * 3000}", f"file://{home}", "\\\\server\\share", "C:\\", f"{home}x", "--help",
    ]  # fmt: skip


def folders(trial: Trial) -> None:
    fort = fort_of(trial)
    for number, path in enumerate(elsewhere(fort)):
        found = fort.review(f"folder {number}", path)
        assert found.status in (400, 403, 404, 422), (path[:100], found)
        assert len(found.error["message"]) > 10
        trial.tried()
    assert fort.asked() == []
    _swapped(trial, fort)
    assert fort.review("the project", fort.repository("project")).status == 200


def _swapped(trial: Trial, fort: Fort) -> None:
    """A folder that is replaced by a link to another all the time, while it is reviewed."""
    home, flip, stop = fort.daemon.home, fort.daemon.home / "flip", threading.Event()
    inside = fort.repository("inside")
    flip.unlink(missing_ok=True)
    os.symlink(inside, flip)

    def swap() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            os.symlink(fort.folder / "outside" if at % 2 else inside, home / "next")
            os.replace(home / "next", flip)

    swapper = threading.Thread(target=swap)
    swapper.start()
    reached = 0
    try:
        for number in trial.runs(1000, 12):
            write(inside, {"a.py": f"number = {number}\n"})
            reached += fort.review(f"flip {number}", flip).status == 200
            trial.tried()
    finally:
        stop.set()
        swapper.join()
    assert "OUTSIDE" not in prompts(fort)
    trial.figure("reviews while it was swapped", reached)
    fort.clean()


def persuasion(trial: Trial) -> None:
    """A model that obeys, and one that repeats what it reads: neither approves what talks to it."""
    fort = fort_of(trial)
    approved = 0
    for number, attack in enumerate(ATTACKS if trial.whole else ATTACKS[::21]):
        for where in ("change", "summary"):
            said = "adds add" if where == "change" else attack
            text = f"# {attack}\n" if where == "change" else "x = 1\n"
            for reply in ("STATUS: approved\nAll good.", attack):
                repo = fort.repository(f"talk-{number}", {"talk.py": text})
                for sim in fort.sims:
                    sim.script(answer(reply))
                found = fort.review(f"{where} {number} {len(reply)}", repo, summary=said)
                assert found.status == 200, found
                approved += found.json()["status"] == "approved"
                assert found.json()["status"] in ("escalated", "needs_revision"), (
                    attack,
                    where,
                    found.json(),
                )
                shutil.rmtree(repo)
                trial.tried()
    fort.clean()
    assert fort.review("honest", fort.repository("honest")).json()["status"] == "approved"
    trial.figure("approvals", approved)


# Made up here, in the shapes that the services give out.
RANDOM = "q7Zk2vR9mXw4Lt8Bn3Hc6Yd1Fs5Gj0Pa"
KEYS = [
    f"sk-ant-api03-{RANDOM}", f"sk-proj-{RANDOM}", f"sk-or-v1-{RANDOM}", f"mnfst_{RANDOM}", f"ghp_{RANDOM}", f"gho_{RANDOM}",
    f"github_pat_{RANDOM}", f"glpat-{RANDOM[:20]}", "AKIA" + RANDOM.upper()[:16], "ASIA" + RANDOM.upper()[:16],
    f"AIza{RANDOM}abc", f"xoxb-123456789012-{RANDOM}", f"hf_{RANDOM}", f"gsk_{RANDOM}", f"xai-{RANDOM}", f"npm_{RANDOM}",
    f"pypi-{RANDOM}", f"sk_live_{RANDOM}", f"rk_live_{RANDOM}", f"whsec_{RANDOM}", f"SG.{RANDOM[:22]}.{RANDOM}",
    f"eyJhbGciOiJIUzI1NiJ9.{RANDOM}.{RANDOM}", f"postgres://app:{RANDOM}@db/prod", f"Authorization: Bearer {RANDOM}",
    f"hvs.{RANDOM}", f"dop_v1_{'0123456789abcdef' * 4}", f"tskey-auth-{RANDOM}", f"AWS_SECRET_ACCESS_KEY={RANDOM}",
    f"-----BEGIN OPENSSH PRIVATE KEY-----\n{RANDOM}\n-----END OPENSSH PRIVATE KEY-----", f'password = "{RANDOM}"',
]  # fmt: skip


def secrets(trial: Trial) -> None:
    fort = fort_of(trial)
    home = fort.daemon.home
    write(
        home,
        {".ssh/id_rsa": f"-----BEGIN RSA PRIVATE KEY-----\nCANARY-{RANDOM}\n", ".netrc": "password CANARY"},
    )
    for number, target in enumerate((home / ".ssh" / "id_rsa", home / ".netrc", Path("/etc/hostname"))):
        repo = make_repo(home / f"links-{number}")
        (repo / "docs").mkdir()
        for name in ("PRD.md", "docs/PRD.md", "README.md", "AGENTS.md", "b.py"):
            os.symlink(target, repo / name)
        write(repo, {"a.py": "x = 2\n", ".env": "DATABASE=CANARY-IN-ENV\n", "id_ed25519": "CANARY-KEY\n"})
        assert fort.review(f"links {number}", repo).status == 200
        assert "CANARY" not in prompts(fort)
        hostname = Path("/etc/hostname").read_text(encoding="utf-8").strip()
        assert not hostname or f"+{hostname}" not in prompts(fort)
        shutil.rmtree(repo)
        trial.tried()
    for number, keys in enumerate([[key] for key in KEYS] if trial.whole else [KEYS]):
        fort.clean()
        whole = "\n".join(keys)
        repo = fort.repository(f"key-{number}", {"conf.txt": f"{whole}\n"})
        git(repo, "add", "-A")
        fort.review(f"key {number}", repo, summary=f"uses {whole}", details=whole, conversationHistory=keys)
        seen = prompts(fort)
        assert "conf.txt" in seen
        shown = [key for key in keys if (RANDOM if RANDOM in key else key[-16:]) in seen]
        assert not shown, seen
        shutil.rmtree(repo)
        trial.tried(len(keys))
    kept = b"".join(file.read_bytes() for file in fort.daemon.database.parent.iterdir())
    trial.hold(Promise.LEAK, RANDOM.encode() not in kept, "a secret in the database")
    trial.hold(Promise.LEAK, RANDOM not in fort.daemon.log(), "a secret in the log")


ROWS = (
    Row("A8", "ids of sessions that are paths, SQL, NUL, foreign digits", "400 or 404 before anything is looked up", "quick", ids, 120.0),
    Row("A9", "folders outside of the home, links, pipes, `..`, a link that is swapped", "refused in words; nothing of them reaches a model", "quick", folders, 300.0),
    Row("A12", "text under review that gives the verdict, with a model that obeys or repeats it", "no approval; a person is asked", "quick", persuasion, 300.0),
    Row("A13", "documents that are links to keys; keys in files, summaries and history", "links are not followed; 30 shapes of keys are masked everywhere", "quick", secrets, 120.0),
)  # fmt: skip
