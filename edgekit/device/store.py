"""What is kept of a run: a folder by its id with the plan, every report as it came, and the results. Nothing that was measured is thrown away."""

import json
import re
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.device.driver import PLAN
from edgekit.device.integer_json import canonical, parse
from edgekit.device.plan import Plan, plan_from_json
from edgekit.errors import BadInputError, PlanError, ReportError
from edgekit.policy.policy import place_file

RESULTS = "results.json"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@frozen(kw_only=True)
class Store:
    """The folder of one run."""

    folder: Path

    @classmethod
    def of(cls, root: Path, run_id: str) -> "Store":
        """Return the folder of a run.

        :raises BadInputError: this is no id of a run, so it could name another folder.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise BadInputError(f"{run_id!r:.60} is no run", what="runs have ids of 32 hexadecimal digits")
        return cls(folder=root / run_id)

    def put_plan(self, plan: Plan) -> Path:
        """Write the plan, in the bytes that are sent to the phone."""
        return self.put(PLAN, (canonical(plan.to_json()) + "\n").encode())

    def put_results(self, document: dict[str, Any]) -> Path:
        """Write the results."""
        return self.put(RESULTS, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())

    def put(self, name: str, content: bytes) -> Path:
        """Write a file in one step and return its path.

        :raises OutputError: the folder cannot be written.
        """
        place_file(self.folder / name, content)
        return self.folder / name

    def plan(self) -> Plan:
        """Read the plan back.

        :raises BadInputError: there is none, or it is none.
        """
        return read_plan(self.folder / PLAN)


def read_plan(path: Path) -> Plan:
    """Read a plan's file.

    :raises PlanError: it cannot be read, or is no plan.
    """
    try:
        document = parse(path.read_bytes(), path.name)
    except OSError as error:
        raise PlanError("json", f"cannot read {path.name}", what=error.strerror or str(error), where=str(path)) from error
    except ReportError as error:
        raise PlanError("json", error.summary, what=error.why or error.what, where=str(path)) from error
    return plan_from_json(document)
