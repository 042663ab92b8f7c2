"""States by name; a name that a later VirtualBox adds is kept as it is."""

from __future__ import annotations

from enum import Enum

__all__ = ["OFFLINE", "ONLINE", "STEADY", "MachineState", "SessionState"]


class _Named(str, Enum):
    @classmethod
    def _missing_(cls, value: object) -> _Named:
        member = str.__new__(cls, str(value))
        member._name_ = member._value_ = str(value)
        return member

    # Type checkers narrow a property after `machine.state == X` and then hold the next such line,
    # after machine.pause(), to be false. They do not where the comparison is a class's own.
    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, str(other)) if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __str__(self) -> str:
        return str(self.value)


class MachineState(_Named):
    """What a machine is doing (``MachineState`` of the VirtualBox SDK)."""

    POWERED_OFF = "PoweredOff"
    SAVED = "Saved"
    TELEPORTED = "Teleported"
    ABORTED = "Aborted"
    ABORTED_SAVED = "AbortedSaved"
    RUNNING = "Running"
    PAUSED = "Paused"
    STUCK = "Stuck"
    TELEPORTING = "Teleporting"
    LIVE_SNAPSHOTTING = "LiveSnapshotting"
    STARTING = "Starting"
    STOPPING = "Stopping"
    SAVING = "Saving"
    RESTORING = "Restoring"
    ONLINE_SNAPSHOTTING = "OnlineSnapshotting"
    RESTORING_SNAPSHOT = "RestoringSnapshot"
    DELETING_SNAPSHOT = "DeletingSnapshot"
    DELETING_SNAPSHOT_ONLINE = "DeletingSnapshotOnline"
    SETTING_UP = "SettingUp"
    SNAPSHOTTING = "Snapshotting"


class SessionState(_Named):
    """Whether somebody has the machine's lock (``SessionState``)."""

    UNLOCKED = "Unlocked"
    LOCKED = "Locked"
    SPAWNING = "Spawning"
    UNLOCKING = "Unlocking"


#: There is a VM process and a guest in it.
ONLINE = frozenset(
    {
        MachineState.RUNNING,
        MachineState.PAUSED,
        MachineState.STUCK,
        MachineState.TELEPORTING,
        MachineState.LIVE_SNAPSHOTTING,
        MachineState.ONLINE_SNAPSHOTTING,
        MachineState.DELETING_SNAPSHOT_ONLINE,
        MachineState.SAVING,
        MachineState.STOPPING,
    }
)

#: The machine can be started.
OFFLINE = frozenset(
    {
        MachineState.POWERED_OFF,
        MachineState.SAVED,
        MachineState.TELEPORTED,
        MachineState.ABORTED,
        MachineState.ABORTED_SAVED,
    }
)

#: Nothing is under way: the machine stays as it is until somebody does something.
STEADY = OFFLINE | {MachineState.RUNNING, MachineState.PAUSED, MachineState.STUCK}
