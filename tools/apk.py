"""Makes an APK of compiled classes without Gradle: link the manifest, turn classes into Android's, pack, align, sign, and look at it again."""

import re
import shutil
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Sequence
from pathlib import Path

import native

ANDROID = Path(__file__).parent.parent / "android_app"
_NAMES = "{http://schemas.android.com/apk/res/android}"
_OWN = "dev/"
"""Where the project's own classes lie; what lies beside them are stubs of what a phone and the engines' libraries bring."""


def build(tools: Path, folder: Path, classes: Sequence[Path], stdlib: Path) -> str:
    """Make and check the APK in ``folder``; says what is in it.

    :param tools: aapt2, framework.jar, d8.jar, apksigner.jar, system. :param classes: folders that kotlinc wrote.
    :raises ValueError: a tool refuses, or the APK is not what the project says.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    facts = _facts()
    _link(tools, folder, facts)
    _dex(tools, folder, classes, stdlib, facts["minSdk"])
    with zipfile.ZipFile(folder / "linked.apk", "a", zipfile.ZIP_DEFLATED) as package:
        package.write(folder / "classes.dex", "classes.dex")
    system = tools / "system" / "usr"
    libraries = [system / "lib", system / "lib" / "p7zip", system / "lib" / "x86_64-linux-gnu", system / "lib" / "x86_64-linux-gnu" / "android"]
    _run(str(system / "bin" / "zipalign"), "4", str(folder / "linked.apk"), str(folder / "aligned.apk"), libraries=libraries)
    _run(str(system / "bin" / "zipalign"), "-c", "4", str(folder / "aligned.apk"), libraries=libraries)
    return _sign(tools, folder) + "; " + _look(tools, folder, facts)


def lowest_android() -> int:
    """Return the oldest version of Android that the app runs on."""
    return int(_facts()["minSdk"])


def _facts() -> dict[str, str]:
    """Return what Gradle would put into the manifest."""
    text = (ANDROID / "app" / "build.gradle.kts").read_text(encoding="utf-8")
    found = {}
    for name in ("applicationId", "minSdk", "targetSdk", "versionCode", "versionName"):
        match = re.search(rf'\b{name} = "?([\w.]+)', text)
        if match is None:
            raise ValueError(f"build.gradle.kts has no {name}")
        found[name] = match[1]
    return found


def _link(tools: Path, folder: Path, facts: dict[str, str]) -> None:
    source = ANDROID / "app" / "src" / "main" / "AndroidManifest.xml"
    ET.register_namespace("android", _NAMES.strip("{}"))
    manifest = ET.parse(source)  # noqa: S314  the project's own file
    manifest.getroot().set("package", facts["applicationId"])
    manifest.write(folder / "AndroidManifest.xml")
    versions = ["--min-sdk-version", facts["minSdk"], "--target-sdk-version", facts["targetSdk"]]
    versions += ["--version-code", facts["versionCode"], "--version-name", facts["versionName"], "--debug-mode"]
    given = ["--manifest", str(folder / "AndroidManifest.xml"), "-I", str(tools / "framework.jar"), "-o", str(folder / "linked.apk")]
    _run(str(tools / "aapt2"), "link", *given, *versions)


def _dex(tools: Path, folder: Path, classes: Sequence[Path], stdlib: Path, sdk: str) -> None:
    with zipfile.ZipFile(folder / "classes.jar", "w") as jar:
        for root in classes:
            for file in sorted(root.rglob("*.class")):
                if (name := file.relative_to(root).as_posix()).startswith(_OWN):
                    jar.write(file, name)
    java = ["java", "-Xmx1200M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(tools / "d8.jar"), "com.android.tools.r8.D8"]
    home = Path(shutil.which("java") or "java").resolve().parent.parent
    _run(*java, "--debug", "--min-api", sdk, "--lib", str(home), "--output", str(folder), str(folder / "classes.jar"), str(stdlib))


def _sign(tools: Path, folder: Path) -> str:
    """Sign with a key that is made for it and thrown away."""
    key, word = folder / "key.p12", "throwaway"
    made = ["-alias", "debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "1", "-dname", "CN=debug"]
    _run("keytool", "-genkeypair", "-keystore", str(key), "-storetype", "PKCS12", "-storepass", word, *made)
    signer = ["java", "-jar", str(tools / "apksigner.jar")]
    _run(*signer, "sign", "--ks", str(key), "--ks-pass", f"pass:{word}", "--out", str(folder / "signed.apk"), str(folder / "aligned.apk"))
    key.unlink()
    said = _run(*signer, "verify", "--verbose", str(folder / "signed.apk"))
    schemes = re.findall(r"Verified using (v\d) scheme.*: true", said)
    if not schemes:
        raise ValueError(f"apksigner verifies no signature: {said[:300]}")
    return f"signed ({', '.join(schemes)})"


def _look(tools: Path, folder: Path, facts: dict[str, str]) -> str:
    """Read the APK again, as a phone's package manager would."""
    said = _run(str(tools / "aapt2"), "dump", "badging", str(folder / "signed.apk"))
    name = facts["applicationId"]
    wanted = [f"package: name='{name}'", f"launchable-activity: name='{name}.RunActivity'", "application-debuggable"]
    if missing := [line for line in wanted if line not in said]:
        raise ValueError(f"the APK lacks {', '.join(missing)}: {said[:300]}")
    if permissions := re.findall(r"uses-permission: name='([^']*)'", said):
        raise ValueError(f"the app wants no permission, the APK has {', '.join(permissions)}")
    with zipfile.ZipFile(folder / "signed.apk") as package:
        dex = package.read("classes.dex")
    if b"Ldev/edgekit/latency/RunActivity;" not in dex:
        raise ValueError("the activity is not among the classes")
    return f"{len(dex) / 1e6:.1f} MB of classes, no permission"


def _run(*command: str, libraries: Sequence[Path] = ()) -> str:
    return native.run(*command, environment={"LD_LIBRARY_PATH": ":".join(map(str, libraries))} if libraries else None)
