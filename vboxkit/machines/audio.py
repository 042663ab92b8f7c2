"""Sound."""

from __future__ import annotations

from typing import Any, Literal

from vboxkit.machines.accessors import LiveSetting, offered
from vboxkit.machines.parts import Choice, MachinePart, Setting

__all__ = ["Audio", "AudioCodec", "AudioController", "AudioDriver"]

AudioController = Literal["AC97", "SB16", "HDA"]
AudioCodec = Literal["SB16", "STAC9700", "AD1980", "STAC9221"]
AudioDriver = Literal[
    "Default", "Null", "OSS", "ALSA", "Pulse", "WinMM", "DirectSound", "WAS", "CoreAudio"
]


class Audio(MachinePart):
    """
    The sound adapter; input and output can be switched at any time, the rest while powered off.

    Example:
        ``machine.audio.driver = "Null"``
    """

    noun = "audio"

    enabled = Setting("enabled", bool, "Whether the guest sees it.")
    # Setting the controller sets its usual codec: so it comes first, also in `Machine.apply`.
    controller = Choice[AudioController](
        "audioController",
        "AudioControllerType",
        "The adapter that the guest sees.",
        check=offered("supportedAudioControllerTypes", "AudioControllerType"),
    )
    codec = Choice[AudioCodec](
        "audioCodec", "AudioCodecType", "Its codec; which are possible depends on the controller."
    )
    driver = Choice[AudioDriver](
        "audioDriver",
        "AudioDriverType",
        "What plays it on the host.",
        check=offered("supportedAudioDriverTypes", "AudioDriverType"),
    )
    input = LiveSetting("enabledIn", bool, "Whether the guest can record.")
    output = LiveSetting("enabledOut", bool, "Whether the guest can be heard.")

    def _locate(self, machine: Any) -> Any:
        return machine.audioSettings.adapter
