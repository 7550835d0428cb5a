"""What region-selecting networks look at, pass by pass."""

from markupsafe import Markup

from edgekit.report.page import Block, Cell, Figure, Section, Text, percent, table
from edgekit.report.regions import RegionMaps
from edgekit.report.results import Results

_TILE = 174
_GAP = 12


def section(results: Results) -> Section | None:
    """Return the maps that were asked for, and how many regions took part in each pass as manifests have it."""
    blocks: list[Block] = []
    for maps in results.region_maps:
        blocks += _blocks(maps)
    stored: list[tuple[Cell | str, ...]] = []
    for row in results.artifacts:
        counts = None if row.selections is None else row.selections.entry("regions")
        if counts is None or row.selections is None:
            continue
        samples = row.selections.integer("samples")
        for site, passes in counts.values.items():
            told = [_range(one) for one in passes] if isinstance(passes, list) else []
            differing = row.selections.texts("differing")
            same = Cell("the same on all", "good") if not differing else Cell(f"other on {len(differing)}", "bad")
            stored.append((row.name, site, ", ".join(told), "" if samples is None else str(samples), same))
    if stored:
        header = ("artifact", "module", "regions in pass 1, 2, ...", "samples", "as eager selects")
        blocks.append(table("Regions that take part, by pass", header, stored, note="Fewest to most over the samples of the export."))
    return Section(key="regions", title="Regions by pass", blocks=tuple(blocks)) if blocks else None


def _range(pair: object) -> str:
    match pair:
        case [int(low), int(high)]:
            return f"{low}" if low == high else f"{low} to {high}"
        case _:
            return "?"


def _blocks(maps: RegionMaps) -> list[Block]:
    total = maps.side**2
    counts = [sum(one) for one in maps.passes]
    weights = f"weights of {maps.weights}" if maps.trained else "untrained weights: where it looks means nothing yet"
    said = f"{maps.photograph} in {maps.model}, {weights}. Of {total} regions take part: {', '.join(map(str, counts))}. The others are grey."
    rows: list[tuple[Cell | str, ...]] = [(f"pass {k}", str(count), percent(count / total)) for k, count in enumerate(counts, start=1)]
    note = "Computed for this page by the eager model; not read from a stored result."
    about = f"{maps.model} on {maps.photograph}"
    return [
        Text(note, "plain"),
        Figure(title=f"Regions of each pass: {about}", description=said, picture=_picture(maps)),
        table(f"Regions of each pass: {about}", ("pass", "regions", "share"), rows, note=f"{weights.capitalize()}."),
    ]


def _picture(maps: RegionMaps) -> Markup:
    """Draw the photograph once a pass, two beside each other, with what takes no part greyed out."""
    name = "photo-" + "".join(letter for letter in maps.model + maps.photograph if letter.isalnum())
    size = _TILE / maps.side
    parts = [
        Markup('<defs><image id="{}" width="{}" height="{}" href="data:image/jpeg;base64,{}"/></defs>').format(name, _TILE, _TILE, maps.jpeg),
    ]
    for number, flags in enumerate(maps.passes):
        left, top = (number % 2) * (_TILE + _GAP), (number // 2) * (_TILE + 26) + 18
        dark = "".join(
            f"M{place % maps.side * size:.2f} {place // maps.side * size:.2f}h{size:.2f}v{size:.2f}h-{size:.2f}z"
            for place, taken in enumerate(flags)
            if not taken
        )
        label = Markup('<text class="label" x="{}" y="{}">pass {}: {}</text>').format(left, top - 5, number + 1, sum(flags))
        tile = Markup('<g transform="translate({} {})"><use href="#{}"/><path class="out" d="{}"/></g>').format(left, top, name, dark)
        parts += [label, tile]
    height = (len(maps.passes) + 1) // 2 * (_TILE + 26)
    return Markup('<svg viewBox="0 0 360 {}" aria-hidden="true" focusable="false">{}</svg>').format(height, Markup("").join(parts))
