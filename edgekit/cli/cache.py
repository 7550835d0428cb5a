"""``edgekit cache``: finished exports that are kept."""

from typing import Annotated

import typer

from edgekit.cli import console

cache = typer.Typer(
    name="cache", help="Finished exports that are kept, so that the same again is a copy.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@cache.callback()
def _cache() -> None:
    """Finished exports that are kept, so that the same again is a copy.

    They lie in $EDGEKIT_CACHE, or ~/.cache/edgekit, under exports/, and take at most $EDGEKIT_CACHE_GB gigabytes: 5 where it is not set,
    0 keeps none. The longest unused leave first. Data sets and weights, which lie there, too, are not counted.
    """


@cache.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List what is kept, the longest unused first.

    \b
    edgekit cache list
    edgekit cache list --json
    """
    from edgekit.export_cache.answer import exports_folder, limit_bytes
    from edgekit.export_cache.store import entries, moment

    place, most = exports_folder(), limit_bytes()
    found = entries(place)
    total = sum(row.size_bytes for row in found)
    if as_json:
        rows = [
            {
                "key": row.key,
                "name": row.name,
                "size_bytes": row.size_bytes,
                "proved": row.proved,
                "used": moment(row.used),
                "damaged": row.name is None,
            }
            for row in found
        ]
        about = {"path": str(place), "limit_bytes": most, "size_bytes": total}
        console.print_json({"schema_version": 1, "command": "cache list", **about, "entries": rows})
        return
    console.print_table(
        ("key", "export", "MB", "proved", "used"),
        [(row.key[:12], row.name or "DAMAGED", f"{row.size_bytes / 1e6:.2f}", row.proved or "", moment(row.used)) for row in found],
    )
    console.note(f"{len(found)} exports, {total / 1e6:.1f} of at most {most / 1e6:.0f} MB in {place}")


@cache.command()
def clear(*, as_json: AsJson = False) -> None:
    """Remove all that is kept; exports that are running are not harmed.

    \b
    edgekit cache clear
    """
    from edgekit.export_cache.answer import exports_folder
    from edgekit.export_cache.store import discard, entries

    found = entries(exports_folder())
    gone = discard(exports_folder(), [row.key for row in found]) if found else 0
    size_bytes = sum(row.size_bytes for row in found)
    if as_json:
        console.print_json({"schema_version": 1, "command": "cache clear", "entries": gone, "size_bytes": size_bytes})
    else:
        console.note(f"{gone} exports removed, {size_bytes / 1e6:.1f} MB")
