"""Reads a program in another process first: Core AI's reader aborts on bytecode that it does not understand.

Damage is found by its hash. What is left is a program whose hash is right and which was made by hand, or by a later
version of Core AI. What this process wrote itself, or has tried before, is not tried again.
"""

import subprocess
import sys
from pathlib import Path

from edgekit.errors import ArtifactError
from edgekit.targets.coreai.asset import Asset, read_asset

_known: set[str] = set()
_TRY = """
import asyncio, sys
from coreai.authoring import AIModelAsset

async def load(asset):
    async with asset.executable() as model:
        for name in model.function_names:
            model.load_function(name)

asyncio.run(load(AIModelAsset.load(sys.argv[1])))
"""


def vouch_for(path: Path) -> None:
    """Take an asset for readable: this process wrote it."""
    _known.add(read_asset(path).sha256)


def require_readable(asset: Asset) -> None:
    """Stop unless another process can load an asset's methods and survives it.

    :raises ArtifactError: it cannot.
    """
    if asset.sha256 in _known:
        return
    command = [sys.executable, "-W", "ignore", "-c", _TRY, str(asset.path.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        why = lines[-1] if lines and done.returncode > 0 else "Core AI's reader aborts on it"
        raise ArtifactError(
            f"Core AI cannot load {asset.path.name}", why=why[:300], hint="it may be of another version of Core AI: export it again with this one"
        )
    _known.add(asset.sha256)
