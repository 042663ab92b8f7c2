"""Video of what the guest shows, as WebM files."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import has
from vboxkit.core.waiting import wait_until
from vboxkit.errors import InvalidStateError, ModuleMissingError, StorageError, WaitTimeoutError
from vboxkit.machines.live import LivePart
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from vboxkit.com.interfaces import IRecordingSettings, ISession

__all__ = ["Recording", "Recordings"]

#: How long the VM process may take to finish a file, in seconds.
_FINISH = 30


class Recordings(LivePart):
    """
    Video of the screens of a machine that runs: ``machine.recording``.

    VirtualBox writes a frame when the screen has changed, not otherwise. It encodes in the VM's
    process, so an emulated guest is slower meanwhile.

    Example:
        >>> with vm.recording("boot.webm", fps=10):                         # doctest: +SKIP
        ...     vm.ssh.succeed("make test")
    """

    noun = "recording"

    @contextmanager
    def __call__(self, path: Path | str, **options: Any) -> Iterator[Recording]:
        """Record while the block runs; see `start`."""
        recording = self.start(path, **options)
        try:
            yield recording
        finally:
            recording.stop()

    @property
    def active(self) -> bool:
        """Whether it is being recorded."""
        if self._machine.state not in ONLINE:
            return False
        with self._session("read whether it is recorded") as session:
            progress = _progress(session.machine.recordingSettings)
            return progress is not None and not progress.completed

    def start(
        self,
        path: Path | str,
        *,
        fps: int = 25,
        size: tuple[int, int] | None = None,
        rate_kbps: int = 512,
        monitors: Sequence[int] = (0,),
        max_seconds: int = 0,
        max_mb: int = 0,
    ) -> Recording:
        """
        Begin to record, until `Recording.stop`.

        Args:
            path: The file, ``*.webm``; its folder must exist. A file that is there is replaced. Of
                several monitors, each has a file, as ``x-screen1.webm``.
            fps: Frames a second, at most.
            size: Width and height in pixels; the screen's if left out.
            rate_kbps: Kilobits a second of the video.
            monitors: Which ones.
            max_seconds: VirtualBox's own limit; 0 for none. 7.2.22 goes on after it, until `stop`.
            max_mb: Likewise, for the file's size in MiB; not tried.

        Raises:
            InvalidStateError: There is no running VM, or it is being recorded already.
            ModuleMissingError: This build of VirtualBox cannot record.
            StorageError: The folder does not exist.
            ApiError: A number is out of range.
        """
        target = self._checked(Path(path).absolute(), fps, monitors)
        size = size or self._machine.screen.size
        with self._session("record") as session:
            settings = session.machine.recordingSettings
            self._require_able()
            running = _progress(settings)
            if running is not None and not running.completed:
                raise InvalidStateError(
                    f"{self._machine._subject()} ({self._state()}) is being recorded already",
                    state=self._state(),
                    operation="record",
                    hint="stop() that recording first",
                )
            for screen in self._api.array(settings, "screens"):
                wanted = int(screen.id) in monitors
                screen.enabled = wanted
                if not wanted:
                    continue
                screen.filename = str(target)
                screen.videoFPS, screen.videoRate = fps, rate_kbps
                screen.videoWidth, screen.videoHeight = size
                screen.maxTime, screen.maxFileSize = max_seconds, max_mb
            if has(self._api, "IRecordingSettings", "start"):
                settings.start()
            else:
                settings.enabled = True
        return Recording(self, target, monitors)

    def _checked(self, path: Path, fps: int, monitors: Sequence[int]) -> Path:
        machine: Any = self._machine
        if path.suffix != ".webm":
            raise invalid(
                machine, f"cannot record to {path}", hint="a file *.webm", operation="record"
            )
        if not path.parent.is_dir():
            raise StorageError(
                f"{machine._subject()} ({self._state()}): cannot record to {path}: its folder does"
                " not exist",
                operation="record",
                hint="make the folder first",
            )
        if not 1 <= fps <= 60:
            raise invalid(machine, f"cannot record {fps} frames a second", hint="1 to 60")
        count = machine.graphics.monitors
        if not monitors or not all(0 <= each < count for each in monitors):
            raise invalid(
                machine, f"cannot record monitors {list(monitors)}", hint=f"0 to {count - 1}"
            )
        return path

    def _require_able(self) -> None:
        if not has(self._api, "ISystemProperties", "supportedRecordingFeatures"):
            return
        raw = self._api.array(self._api.virtualbox.systemProperties, "supportedRecordingFeatures")
        if "Video" not in {self._api.name("RecordingFeature", each) for each in raw}:
            version = ".".join(map(str, self._api.version))
            raise ModuleMissingError(
                f"this build of VirtualBox {version} cannot record video",
                module="libvpx",
                hint="install a build with it: Oracle's own, or Debian's",
            )

    def _finish(self, session: ISession) -> None:
        """Tell VirtualBox to end the recording, and wait until the file is complete."""
        settings = session.machine.recordingSettings
        progress = _progress(settings)
        if progress is not None:
            if not progress.completed:
                # enabled = False is taken, and changes nothing.
                progress.cancel()
            wait_until(
                lambda: bool(progress.completed) or None,
                what=f"the end of the recording of {self._machine._subject()}",
                timeout=_FINISH,
            )
        settings.enabled = False


class Recording:
    """
    A recording under way; a context manager that stops it.

    Attributes:
        files: The video files. Of a single monitor it has the name that was asked for once the
            recording was stopped; before that VirtualBox calls it ``x-screen0.webm``.
    """

    def __init__(self, owner: Recordings, path: Path, monitors: Sequence[int]) -> None:
        self._owner = owner
        self._path = path
        self.files = [path.with_name(f"{path.stem}-screen{each}.webm") for each in monitors]
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> list[Path]:
        """
        End the recording, and return its files; doing it twice does no harm.

        Returns at once if the machine has stopped since: its files end there.

        Raises:
            StorageError: VirtualBox has written no file.
            WaitTimeoutError: The VM process did not finish them within 30 s.
        """
        if self._stopped:
            return self.files
        machine = self._owner._machine
        if machine.state in ONLINE:
            try:
                with self._owner._session("stop the recording") as session:
                    self._owner._finish(session)
            except (InvalidStateError, WaitTimeoutError):
                if machine.state in ONLINE:
                    raise
        self._stopped = True
        if len(self.files) == 1 and self.files[0].exists():
            self.files = [self.files[0].replace(self._path)]
        missing = [str(file) for file in self.files if not file.exists()]
        if missing:
            raise StorageError(
                f"{machine._subject()}: VirtualBox has not written {', '.join(missing)}",
                operation="record",
                hint="VBox.log has lines with Recording: that may say why",
            )
        return self.files

    def __repr__(self) -> str:
        return f"<Recording {str(self._path)!r} of {self._owner._machine!r}>"


def _progress(settings: IRecordingSettings) -> Any:
    """Return the raw progress of the recording there is or was, or `None`."""
    try:
        return settings.progress
    except Exception:
        return None
