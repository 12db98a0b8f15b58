"""What a task asks of the device that runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Mapping

from retire_cluster.errors import InvalidTaskError, TaskTooLargeError
from retire_cluster.wire.messages import REQUIREMENT_DEFAULTS, REQUIREMENTS
from retire_cluster.wire.refused import Refused


@dataclass
class TaskRequirements:
    """Each field left at its default asks for nothing. Checked when made, and again when the task is
    submitted.

    min_cpu_cores: 0 to 1,000,000. min_memory_gb, min_storage_gb: GB of 2^30 bytes, 0 to 10^9.
    required_platform: `linux`, `windows`, `android`, `darwin`, any case; "" for any. required_role: "" for
    any. required_tags: the device must have all of them.
    timeout_seconds: longest run of one attempt, 0.001 to 31,536,000. max_retries: further attempts, 0 to
    1,000. resources: name to amount, reserved on the device while the task runs.
    at_most_once: the task is given to a device once and never again, so nothing is retried.
    min_isolation: least sandbox level, `off`, `basic` or `strict`; "" for any.

    Errors: InvalidTaskError (a ValueError) naming field and value.
    """

    min_cpu_cores: int = 0
    min_memory_gb: float = 0
    min_storage_gb: float = 0
    gpu_required: bool = False
    internet_required: bool = False
    required_platform: str = ""
    required_role: str = ""
    required_tags: List[str] = field(default_factory=list)
    timeout_seconds: float = 300
    max_retries: int = 3
    resources: Dict[str, float] = field(default_factory=dict)
    at_most_once: bool = False
    min_isolation: str = ""

    def __post_init__(self) -> None:
        # None means what leaving it out means, for the fields whose default is empty.
        for name in ("required_platform", "required_role", "min_isolation"):
            if getattr(self, name) is None:
                setattr(self, name, "")
        self.required_tags = [] if self.required_tags is None else _listed(self.required_tags)
        self.resources = {} if self.resources is None else self.resources
        self.to_wire()

    def to_wire(self) -> Dict[str, Any]:
        """The fields that differ from their default. Errors: InvalidTaskError."""
        # Each field by itself, so that the error names it as the user wrote it.
        wire = {}
        for name, kind in REQUIREMENTS.fields.items():
            value = getattr(self, name)
            try:
                read = kind.read(value)
            except Refused as error:
                wrong = TaskTooLargeError if error.code == "too_large" else InvalidTaskError
                place = name if not error.field else error.within(name).field
                raise wrong(f"{place} {error.detail}", field=place) from None
            if read != REQUIREMENT_DEFAULTS[name]:
                wire[name] = read
        return wire

    def to_dict(self) -> Dict[str, Any]:
        """The JSON form: every field."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out["required_tags"] = list(self.required_tags)
        out["resources"] = dict(self.resources)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRequirements:
        """From the JSON form; fields left out are at their default.

        Errors: ValueError naming a key that is not known, or a value that is not allowed.
        """
        if not isinstance(data, Mapping):
            raise InvalidTaskError(f"requirements is {data!r}: must be an object", field="requirements")
        for key in data:
            if key not in REQUIREMENT_DEFAULTS:
                known = ", ".join(REQUIREMENT_DEFAULTS)
                raise InvalidTaskError(
                    f"requirements has the unknown key {key!r}: known are {known}", field=str(key)
                )
        return cls(**data)


def _listed(tags: Any) -> Any:
    """Any collection of tags as a list; what is none is left for the check to name."""
    return list(tags) if isinstance(tags, (tuple, set, frozenset)) else tags
