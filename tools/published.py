"""Holds the stubs that the apps are compiled against to names that were published: Android's and Apple's, as the NativeScript project extracts them.

A stub that somebody made up would let the apps compile here and nowhere else. What is compared: that a class has the member, with as many
parameters, and since which version of Android; of Apple's, whose names are others in Swift, that the one in the comment behind it exists.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parent.parent
STUBS = ROOT / "android_app" / "stubs"
STAND_INS = ROOT / "ios_app" / "StandIns"
FRAMEWORKS = ("CoreML", "CoreVideo", "UIKit")
"""Those with an Objective-C interface; SwiftUI, Core AI and the engines have none."""

_JAVA_TYPE = re.compile(r"(?:public |static |final |abstract )*(?:class|interface) (\w+)")
_JAVA_MEMBER = re.compile(r"(?:public|protected) (?:static |final |abstract )*(?:[\w.<>\[\]]+ )?(\w+)(?:\(([^)]*)\)| =|;)")
_TS_TYPE = re.compile(r"\t*(?:export |declare )?(?:abstract )?(?:module|class|interface) ([\w$.]+)")
_TS_MEMBER = re.compile(r"\t+public (?:static )?([\w$]+)(\(.*\))?:|\t+public (constructor)(\(.*\));")
_SINCE = re.compile(r"/\*\* @since (\d+)")


@frozen
class Member:
    """``parameters``: how many; ``None``: a field. ``since``: the version of Android; 0: before all that count."""

    name: str
    parameters: int | None
    since: int = field(default=0, eq=False)


def android(names: Path, lowest: int) -> str:
    """Compare the stubs of Android; says what was seen.

    :param names: the folder of ``@nativescript/types-android``. :param lowest: the app's lowest version; newer members have to be asked for.
    :raises ValueError: a stub has what Android has not, or the app calls what is newer without asking for the version.
    """
    published = _published(names / "lib" / "android" / "android-platform-37.d.ts")
    app = "\n".join(path.read_text() for path in (ROOT / "android_app" / "app").rglob("*.kt"))
    count, newer = 0, []
    for path in sorted((STUBS / "android").rglob("*.java")):
        for name, member in _stub(path):
            found = [other for other in published.get(name, ()) if other == member]
            if not found:
                raise ValueError(f"{path.name}: Android has no {name}.{member.name} with {member.parameters} parameters")
            count += 1
            since = min(other.since for other in found)
            if since > lowest:
                newer.append(f"{member.name} ({since})")
                if re.search(rf"SDK_INT (?:>=|<) {since}\b", app) is None:
                    raise ValueError(f"{name}.{member.name} came with {since}, the app runs on {lowest} and does not ask")
    return f"{count} members of Android, newer and asked for: {', '.join(newer)}"


def apple(names: Path) -> str:
    """Compare the stand-ins for Apple's frameworks; says what was seen.

    :param names: the folder of ``@nativescript/types-ios``.
    :raises ValueError: a declaration names nothing that is published, or names nothing.
    """
    count = 0
    for framework in FRAMEWORKS:
        before = ""
        for number, line in enumerate((STAND_INS / f"{framework}.swift").read_text().splitlines(), 1):
            above, before = before, line
            if not re.match(r"\s*(?:@\w+ )?(?:nonisolated\(unsafe\) )?public |\s*case ", line):
                continue
            match = re.search(r"// objc: (.*)$", line) or re.match(r"\s*// objc: (.*)$", above)
            if match is None:
                raise ValueError(f"{framework}.swift:{number} does not say which published name it stands for")
            owner = ""
            for name in match[1].split(", "):
                if name.startswith("none"):
                    break
                told = owner + name if name.startswith(".") else name
                owner = told.rpartition(".")[0]
                _look(names, framework, told, f"{framework}.swift:{number}")
                count += 1
    return f"{count} names of Apple's"


def _look(names: Path, framework: str, told: str, where: str) -> None:
    """Look for ``Class.member``, ``Enum.case`` or ``function``, in the framework's own file unless ``Framework:`` is put before."""
    module, _, name = told.rpartition(":")
    text = (names / "lib" / "ios" / "objc-x86_64" / f"objc!{module or framework}.d.ts").read_text()
    owner, _, member = name.partition(".")
    block = re.search(rf"^(?:declare )?(?:class|const enum|interface|function|const) {owner}\b.*?(?=^declare |\Z)", text, re.MULTILINE | re.DOTALL)
    if block is None or (member and re.search(rf"^\t(?:static |readonly )*{member}\b", block[0], re.MULTILINE) is None):
        raise ValueError(f"{where}: {told} is published nowhere")


def _stub(path: Path) -> Iterator[tuple[str, Member]]:
    """Yield the members of a stub and the class of each."""
    package, types = "", []
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("package "):
            package = text.removeprefix("package ").rstrip(";")
        elif (match := _JAVA_TYPE.match(text)) is not None and text.endswith("{"):
            types.append(match[1])
        elif text == "}":
            types.pop()
        elif (match := _JAVA_MEMBER.match(text)) is not None:
            constructor = match[1] == types[-1]
            yield ".".join((package, *types)), Member("constructor" if constructor else match[1], _count(match[2]))


def _published(path: Path) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    place: list[str] = []
    since = 0
    with path.open() as lines:
        for line in lines:
            if line.rstrip().endswith("{") and (match := _TS_TYPE.match(line)) is not None:
                del place[len(line) - len(line.lstrip("\t")) :]  # braces are not always balanced, tabs are
                place.append(match[1])
            elif (match := _SINCE.search(line)) is not None:
                since = int(match[1])
                continue
            elif (match := _TS_MEMBER.match(line)) is not None:
                name, given = (match[1], match[2]) if match[3] is None else (match[3], match[4])
                found.setdefault(".".join(place), []).append(Member(name, None if given is None else _count(given[1:-1]), since))
            if not line.strip().startswith("/*"):
                since = 0
    return found


def _count(parameters: str | None) -> int | None:
    """Return how many parameters there are; commas within brackets part none."""
    if parameters is None:
        return None
    bare = re.sub(r"<[^<>]*>|\([^()]*\)", "", parameters)
    return 0 if not bare.strip() else bare.count(",") + 1
