"""Where downloads are kept: one folder outside of the repository, named by the environment."""

import os
from pathlib import Path

from edgekit.errors import OutputError

CACHE_VARIABLE = "EDGEKIT_CACHE"


def cache_folder() -> Path:
    """Return where downloads are kept: ``$EDGEKIT_CACHE``, ``$XDG_CACHE_HOME/edgekit`` or ``~/.cache/edgekit``.

    Raises:
        OutputError: none of the variables is set and there is no home folder.

    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared and Path(shared).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(shared) / "edgekit"
    try:
        return Path.home() / ".cache" / "edgekit"
    except RuntimeError as error:
        raise OutputError("there is no folder to keep downloads in", why=str(error), hint=f"set {CACHE_VARIABLE}") from error
