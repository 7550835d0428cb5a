"""Compiles and tests what runs on phones, as far as this machine can: ``make test-apps``.

    python tools/test_apps.py [STEP ...]
    python tools/test_apps.py --fetch kotlin,names --minutes 8

A step whose tools are not here is skipped with the reason and counted as skipped, never as passed; so is one for which no time is left. The last
line is "N passed, N failed, N skipped". What is built lies in this checkout's build/apps: CMake's folders belong to one place of the sources.
What only Apple's and Google's own tools can tell is not among these steps: README.md of both apps says it.
"""

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests" / "device")]

import apk  # noqa: E402
import native  # noqa: E402  they lie beside this file
import published  # noqa: E402
import toolchains  # noqa: E402
from toolchains import MissingToolError  # noqa: E402

VECTORS = ROOT / "tests" / "conformance" / "vectors"
BUILD = ROOT / "build" / "apps"
_LAST_LINE = re.compile(r"(\d+) passed, (\d+) failed\s*$")
_LEAST_CASES = 120
_counts: dict[str, int] = {}
_reports: dict[str, list[bytes]] = {}


class FailedStepError(Exception):
    """A step did not pass."""


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = native.limited(command, environment)
    if done.returncode != 0:
        raise FailedStepError((done.stdout + done.stderr)[-3000:] or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _vectors(language: str, said: str) -> str:
    match = _LAST_LINE.search(said)
    if match is None or int(match[2]) or int(match[1]) < _LEAST_CASES:
        raise FailedStepError(said[-2000:])
    _counts[language] = int(match[1])
    return match[0].strip()


def vectors_python() -> str:
    """The shared cases in Python."""
    return _vectors("Python", _run([sys.executable, str(ROOT / "tests" / "conformance" / "runner.py")]))


def _java(main: str, *arguments: str) -> list[str]:
    jars = [str(BUILD / "kotlin-core"), str(BUILD / "kotlin-core-test"), str(toolchains.kotlin() / "lib" / "kotlin-stdlib.jar")]
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", ":".join(jars), f"dev.edgekit.latency.core.{main}", *arguments]


def kotlinc(sources: list[Path], out: Path, *options: str, after: Sequence[Path] = ()) -> str:
    """Compile Kotlin with warnings as errors; what was compiled from the same bytes before is not compiled again.

    :param after: what was compiled before and is looked at here.
    """
    folder = toolchains.kotlin()
    files = sorted(file for source in sources for suffix in ("kt", "java") for file in source.rglob(f"*.{suffix}"))
    stamp = hashlib.sha256(b"\0".join([*map(str.encode, options), *(file.read_bytes() for file in files), *map(_stamp, after)])).hexdigest()
    if out.exists() and _stamp(out) == stamp.encode():
        return f"{len(files)} files, as compiled before"
    shutil.rmtree(out, ignore_errors=True)  # classes of sources that are gone
    out.mkdir(parents=True)
    options_of_java = {"JAVA_OPTS": "-Xmx1200M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}  # half the time, for a program that runs once
    compiler = ["bash", str(folder / "bin" / "kotlinc"), "-Werror", "-jvm-target", "17", *options, "-d", str(out)]
    _run([*compiler, *map(str, files)], environment=options_of_java)
    out.with_name(out.name + ".stamp").write_text(stamp)
    return f"{len(files)} files"


def _stamp(out: Path) -> bytes:
    mark = out.with_name(out.name + ".stamp")
    return mark.read_bytes() if mark.is_file() else b""


def kotlin_core() -> str:
    """The core compiles with warnings as errors."""
    core, compiled = ROOT / "android_app" / "core" / "src", BUILD / "kotlin-core"
    said = kotlinc([core / "main" / "kotlin"], compiled)
    # Friends see what is internal, as Gradle's tests do.
    tests = kotlinc([core / "test" / "kotlin"], BUILD / "kotlin-core-test", "-cp", str(compiled), f"-Xfriend-paths={compiled}", after=[compiled])
    return f"{said}; tests: {tests}"


def kotlin_app() -> str:
    """The app compiles with warnings as errors, against stubs of Android, ExecuTorch and LiteRT."""
    kotlin_core()
    android = ROOT / "android_app"
    return kotlinc(
        [android / "app" / "src" / "main" / "kotlin", android / "stubs"],
        BUILD / "kotlin-app",
        "-cp",
        str(BUILD / "kotlin-core"),
        after=[BUILD / "kotlin-core"],
    )


def kotlin_executorch() -> str:
    """The app compiles against ExecuTorch's own classes in place of the stubs."""
    classes = toolchains.names() / "executorch.jar"
    kotlin_core()
    android, core = ROOT / "android_app", BUILD / "kotlin-core"
    sources = [android / "app" / "src" / "main" / "kotlin", android / "stubs" / "android", android / "stubs" / "com"]
    return kotlinc(sources, BUILD / "kotlin-app-executorch", "-cp", f"{core}:{classes}", after=[core])


def published_names() -> str:
    """What the stubs and stand-ins declare is published: of Android with as many parameters, of Apple by the names in the comments."""
    folder = toolchains.names()
    return f"{published.android(folder / 'android', apk.lowest_android())}; {published.apple(folder / 'apple')}"


def kotlin_style() -> str:
    """Kotlin as ktlint wants it."""
    program = str(toolchains.ktlint())
    _run([program, "--log-level=none", f"{ROOT}/android_app/**/*.kt", f"{ROOT}/android_app/**/*.kts"])
    return "ktlint"


def swift_style() -> str:
    """Swift as swift-format wants it."""
    program = ["/usr/libexec/swift/bin/swift-format", "lint", "--strict", "--recursive", "--configuration", "/srv/.swift-format"]
    packages = [f"/srv/{name}/{part}" for name in ("LatencyCore", "RealEngine") for part in ("Package.swift", "Sources")]
    _run(_swift([*program, *packages, "/srv/LatencyCore/Tests", "/srv/App", "/srv/StandIns"]))
    return "swift-format"


def android_package() -> str:
    """The manifest links, the classes become Android's, and an APK of them is signed. It has no engines, so it is none for a phone."""
    tools = toolchains.apk()
    kotlin_app()
    return apk.build(tools, BUILD / "apk", [BUILD / "kotlin-app", BUILD / "kotlin-core"], toolchains.kotlin() / "lib" / "kotlin-stdlib.jar")


def vectors_kotlin() -> str:
    """The shared cases in Kotlin."""
    return _vectors("Kotlin", _run(_java("ConformanceKt", str(VECTORS))))


def run_loop_kotlin() -> str:
    """A whole run with an engine that is made up; its reports are held to the plan."""
    return _run_loop("Kotlin", lambda folder, process: _java("RunOnceKt", str(folder), process))


def _swift(words: list[str], folder: Path | None = None, read: toolchains.Binds = ()) -> list[str]:
    """Return a command inside the system that has Swift; the app lies at /srv, what is built at /mnt, the folder of a run at /run/folder."""
    build = BUILD / "swift"
    build.mkdir(parents=True, exist_ok=True)
    written = [(build, "/mnt"), *(() if folder is None else ((folder, "/run/folder"),))]
    binds = [(ROOT / "ios_app", "/srv"), (VECTORS, "/media"), *read]
    return toolchains.in_swift_root(toolchains.swift(), binds, written, words, "/srv/LatencyCore")


_SWIFT_BUILD = ["--disable-sandbox", "--scratch-path", "/mnt/core", "-Xswiftc", "-warnings-as-errors"]


def swift_core() -> str:
    """The core compiles with warnings as errors."""
    _run(_swift(["swift", "build", *_SWIFT_BUILD]))
    return "LatencyCore"


_STAND_INS = ("CoreVideo", "CoreML", "UIKit", "SwiftUI", "ExecuTorch", "TensorFlowLite", "CoreAI")


def swift_app() -> str:
    """The app type-checks against stand-ins of Apple's and the engines' modules."""
    swift_core()
    compiler = ["swiftc", "-swift-version", "5", "-parse-as-library", "-I", "/mnt/stand-ins"]
    _run(_swift(["mkdir", "-p", "/mnt/stand-ins"]))
    for name in _STAND_INS:
        made = ["-emit-module", "-module-name", name, "-o", f"/mnt/stand-ins/{name}.swiftmodule", f"/srv/StandIns/{name}.swift"]
        _run(_swift([*compiler, *made]))
    files = sorted(file.name for file in (ROOT / "ios_app" / "App").glob("*.swift"))
    check = ["-typecheck", "-warnings-as-errors", "-I", "/mnt/core/debug/Modules", "-module-name", "EdgekitLatency"]
    _run(_swift([*compiler, *check, *(f"/srv/App/{name}" for name in files)]))
    return f"{len(files)} files, {len(_STAND_INS)} stand-ins"


def vectors_swift() -> str:
    """The shared cases in Swift."""
    return _vectors("Swift", _run(_swift(["/mnt/core/debug/conformance", "/media"])))


def run_loop_swift() -> str:
    """A whole run with an engine that is made up; its reports are held to the plan."""
    return _run_loop("Swift", lambda folder, process: _swift(["/mnt/core/debug/runonce", "/run/folder", process], folder))


def swift_tests() -> str:
    """``swift test`` of LatencyCore."""
    _run(_swift(["swift", "test", *_SWIFT_BUILD]))
    return "swift test"


def _run_loop(language: str, command: Callable[[Path, str], list[str]]) -> str:
    from phones import SMALL

    from edgekit.artifact import digest
    from edgekit.device.integer_json import canonical, parse
    from edgekit.device.plan import plan_from_json
    from edgekit.device.report import report_from_json
    from edgekit.device.validate import CUT, check_report

    _reports[language] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = SMALL.to_json() | {"cooldown_ms": 3000}  # of a clock that is made up: so much passes that a report is written on the way
        for variant in document["variants"]:
            model = folder / variant["model"]
            if variant["engine"] == "litert":  # a folder, as Core ML's are: its digest goes by the parts of the paths
                for part in ("a-b", "a/b"):
                    (model / part).parent.mkdir(parents=True, exist_ok=True)
                    (model / part).write_bytes(part.encode())
            else:
                model.write_bytes(b"model " * 1000)
            variant["model_sha256"] = digest(model)
        (folder / "plan.json").write_text(canonical(document))
        for process in ("0", "1"):
            _run(command(folder, process))
            for kind in ("report", "partial"):
                content = (folder / f"{kind}-{process}.json").read_bytes()
                found = report_from_json(parse(content, "the report"))
                check_report(found, plan_from_json(document), partial=kind == "partial")
                if {result.stop_reason for result in found.results} != {"count" if kind == "report" else CUT}:
                    raise FailedStepError(f"{kind}: {[result.stop_reason for result in found.results]}")
                _reports[language].append(content)
    others = [other for other in _reports if other != language]
    if any(_reports[other] != _reports[language] for other in others):
        raise FailedStepError(f"the reports are not those of {', '.join(others)}")
    return f"2 reports and 2 on the way, valid{', byte for byte those of ' + ', '.join(others) if others else ''}"


def native_runner() -> str:
    """The native runner compiles against ExecuTorch's SDK, and real artifacts give Python's outputs and leave where Python leaves."""
    runner = native.build(BUILD / "native")
    said = native.check(lambda folder: [str(runner), str(folder), "0"], _artifacts())
    return f"{said}; {native.check_cut(runner, native.artifact(BUILD / 'artifacts', native.PLAIN))}"


def real_engine_kotlin() -> str:
    """Kotlin's run loop over the real ExecuTorch."""
    kotlin_core()
    library = native.library(BUILD / "native-java", java=True)
    return native.check(lambda folder: _java("RunRealKt", str(folder), "0", str(library)), _artifacts(), preprocess=True)


def real_engine_swift() -> str:
    """Swift's run loop over the real ExecuTorch."""
    toolchains.swift()
    library = native.library(BUILD / "native")
    read = [(native.SOURCE, "/run/runner"), (library.parent, "/run/engine"), (native.libraries(), "/run/executorch")]
    found = ["-Xcc", "-I/run/runner", "-Xlinker", "-L/run/engine", "-Xlinker", "--allow-shlib-undefined"]
    build = ["swift", "build", "--disable-sandbox", "--scratch-path", "/mnt/real", "--package-path", "/srv/RealEngine"]
    _run(_swift([*build, "-Xswiftc", "-warnings-as-errors", *found], read=read))

    def command(folder: Path) -> list[str]:
        here = ["env", "LD_LIBRARY_PATH=/run/engine:/run/executorch", "/mnt/real/debug/runreal", "/run/folder", "0"]
        return _swift(here, folder, read)

    return native.check(command, _artifacts(), preprocess=True)


def _artifacts() -> list[Path]:
    return [native.artifact(BUILD / "artifacts", model) for model in (native.PLAIN, native.EXITS)]


def _emulated(*words: str, python: Sequence[Path] = ()) -> list[str]:
    """Return a command on an emulated arm64, 100 to 360 times slower than a real one: good for answers, not for times."""
    folder = toolchains.aarch64()
    system = folder / "system"
    found = [system / "usr" / "lib" / "aarch64-linux-gnu", folder / "wheels" / "executorch" / "lib"]
    settings = {"LD_LIBRARY_PATH": found, "PYTHONHOME": [system / "usr"], "PYTHONPATH": python}
    given = [word for name, paths in settings.items() for word in ("-E", f"{name}={':'.join(map(str, paths))}")]
    return [str(folder / "qemu-aarch64"), "-L", str(system), *given, *words]


def arm_native_runner() -> str:
    """The native runner as it is built for phones' processors, emulated: exits and outputs are those of this machine."""
    runner = native.build(BUILD / "native-arm", arm=toolchains.aarch64() / "wheels")
    path = native.artifact(BUILD / "artifacts")
    return native.check(lambda folder: _emulated(str(runner), str(folder), "0"), [path], once=True)


def arm_litert() -> str:
    """LiteRT as it is built for phones' processors, emulated: every output of every method is that of this machine."""
    wheels, system = toolchains.aarch64() / "wheels", toolchains.aarch64() / "system"
    path = native.artifact(BUILD / "artifacts", target="tflite")
    script = str(Path(__file__).parent / "arm_litert.py")
    return native.check_methods(
        lambda folder: _emulated(str(system / "usr" / "bin" / "python3.11"), script, str(path), str(folder), python=[wheels]), path
    )


def adb_conversation() -> str:
    """``edgekit device run`` through the real adb client and the real adbd, in a network namespace; the native runner is the app."""
    for name, hint in (("adb", "tools/toolchains.py fetch adb"), ("unshare", "apt-get install util-linux"), ("ip", "apt-get install iproute2")):
        toolchains.program(name, hint)
    if not (toolchains.swift() / "usr" / "lib" / "android-sdk" / "platform-tools" / "adbd").is_file():
        raise MissingToolError("no adbd: tools/toolchains.py fetch swift brings it")
    if os.geteuid() != 0:
        raise MissingToolError("a network namespace needs root")
    from edgekit.policy.policy import Policy, write_policy

    runner, path = native.build(BUILD / "native"), native.artifact(BUILD / "artifacts")
    policy = BUILD / "policy.json"
    write_policy(Policy(kind="max_softmax", exits=4, classes=10, thresholds=(None, None, 0)), policy)
    said = _run(["unshare", "-n", sys.executable, str(Path(__file__).parent / "adb_phone.py"), str(runner), str(path), str(policy)])
    return "; ".join(said.strip().splitlines())


def equal_counts() -> str:
    """Every language ran the same cases."""
    if len(set(_counts.values())) > 1:
        raise FailedStepError(f"{_counts}")
    if missing := {"Python", "Kotlin", "Swift"} - _counts.keys():
        raise MissingToolError(f"{', '.join(sorted(missing))} did not run")
    return ", ".join(f"{language} {count}" for language, count in _counts.items())


STEPS: tuple[Callable[[], str], ...] = (
    vectors_python,
    kotlin_core,
    vectors_kotlin,
    run_loop_kotlin,
    kotlin_app,
    kotlin_executorch,
    published_names,
    kotlin_style,
    android_package,
    swift_core,
    vectors_swift,
    run_loop_swift,
    swift_tests,
    swift_app,
    swift_style,
    equal_counts,
    native_runner,
    real_engine_kotlin,
    real_engine_swift,
    arm_native_runner,
    arm_litert,
    adb_conversation,
)


def fetch(names: list[str]) -> None:
    """Fetch toolchains that are not here; where one cannot be had, its steps are skipped."""
    for name in names:
        try:
            toolchains.FIND[name]()
        except MissingToolError:
            try:
                done = native.limited([sys.executable, str(Path(toolchains.__file__)), "fetch", name])
            except native.NoTimeError as error:
                sys.stdout.write(f"not fetched: {name}: {error}\n")
            else:
                sys.stdout.write(f"fetched: {name}\n" if done.returncode == 0 else f"not fetched: {done.stdout.strip()[-300:]}\n")


def main() -> int:
    """Run the steps; 1 if one fails."""
    known = [step.__name__ for step in STEPS]
    parser = argparse.ArgumentParser(description="Compile and test what runs on phones, as far as this machine can.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"by default all: {', '.join(known)}")
    parser.add_argument("--fetch", type=lambda text: text.split(","), default=[], metavar="NAMES", help=f"of {', '.join(toolchains.FETCH)}")
    parser.add_argument("--minutes", type=float, help="what is not done by then is skipped")
    given = parser.parse_args()
    if unknown := [name for name in (*given.steps, *given.fetch) if name not in (*known, *toolchains.FETCH)]:
        parser.error(f"neither step nor toolchain is called {', '.join(unknown)}")
    if given.minutes is not None:
        native.end_at(time.monotonic() + 60 * given.minutes)
    fetch(given.fetch)
    wanted = given.steps
    passed = failed = skipped = 0
    for step in STEPS:
        if wanted and step.__name__ not in wanted:
            continue
        start = time.monotonic()
        try:
            native.seconds_left()
            said = step()
            passed += 1
            verdict = "passed"
        except (MissingToolError, native.NoTimeError) as error:
            skipped += 1
            verdict, said = "SKIPPED", str(error)
        except Exception as error:  # noqa: BLE001  a step that breaks fails, and the others go on
            failed += 1
            verdict, said = "FAILED", f"{type(error).__name__}: {error}"
        sys.stdout.write(f"{verdict:<8} {step.__name__:<18} {time.monotonic() - start:6.1f} s  {said}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{passed} passed, {failed} failed, {skipped} skipped\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
