"""The virtual processors: their kind, their features, and plugging them in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import ApiError
from vboxkit.machines.accessors import Flag, LiveSetting, MachineChoice, one_of
from vboxkit.machines.base import api_call
from vboxkit.machines.parts import MachinePart, Setting, invalid, within

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.machines.base import ComObject

__all__ = ["Cpu", "ExecutionEngine", "HwVirt", "cpu_profiles"]

ExecutionEngine = Literal["Default", "HwVirt", "NativeApi", "Interpreter", "Recompiler", "NotSet"]

#: The profile that shows the guest the host's own processor.
_HOST = "host"


#: The methods and the enumeration of CPU properties.
_X86 = ("CPUProperty", "CPUPropertyTypeX86")


def cpu_profiles(api: Api) -> list[str]:
    """Return the names of the processors that VirtualBox can show to a guest, sorted."""
    found = api.virtualbox.systemProperties.getCPUProfiles(api.value("CPUArchitecture", "Any"), "")
    return sorted({_HOST, *(str(profile.name) for profile in found)})


def _known_profile(obj: Any, _name: str, value: Any) -> None:
    # VirtualBox takes any text, and the machine then does not start.
    if value:
        one_of(obj, "CPU profile", value, cpu_profiles(obj._api))


def _cpu(member: str, doc: str) -> Flag:
    return Flag(*_X86, member, doc)


def _hw(member: str, doc: str) -> Flag:
    return Flag("HWVirtExProperty", "HWVirtExPropertyType", member, doc)


class _Apic(Flag):
    """VirtualBox goes on showing an APIC that is turned off while the x2APIC is on."""

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        if not raw:
            setattr(obj, "x2apic", False)  # noqa: B010 - any object that has both
        super()._write(obj, com, raw)


class _X2Apic(Flag):
    """VirtualBox turns the APIC off with the x2APIC."""

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        apic = bool(getattr(obj, "apic"))  # noqa: B009 - as above
        super()._write(obj, com, raw)
        if not raw and apic:
            setattr(obj, "apic", True)  # noqa: B010 - as above


class _HotPlug(Setting[bool]):
    """VirtualBox turns it off only while all CPUs are plugged in."""

    def _write(self, obj: Any, com: Any, raw: Any) -> None:
        cpu: Cpu = obj
        count = len(cpu.plugged)
        if not raw and com.CPUHotPlugEnabled and count < com.CPUCount:
            # The guest keeps as many as it has; they are then the first ones.
            for number in range(com.CPUCount):
                if com.getCPUStatus(number) and number >= count:
                    com.hotUnplugCPU(number)
            for number in range(count):
                if not com.getCPUStatus(number):
                    com.hotPlugCPU(number)
            com.CPUCount = count
        super()._write(obj, com, raw)


class Cpu(MachinePart):
    """
    The virtual CPUs of a machine; how many there are is `Machine.cpus`.

    All of it can be set while the machine is powered off; `execution_cap_percent` also while it
    runs, and CPUs can be plugged in and out of a running machine if `hot_plug` was on when it
    started.

    Example:
        ``machine.cpu.nested_hw_virt = True``
    """

    noun = "CPU"

    execution_cap_percent = LiveSetting(
        "CPUExecutionCap",
        int,
        "The share of a host CPU that each virtual one may take, 1 to 100 percent.",
        check=within(1, 100, "%"),
    )
    hot_plug = _HotPlug(
        "CPUHotPlugEnabled",
        bool,
        "Whether CPUs can be plugged in and out; `Machine.cpus` then is the most there can be."
        " Turned off, the machine has the CPUs that were plugged in.",
    )
    profile = Setting(
        "CPUProfile",
        str,
        "The processor that the guest sees: ``host``, or one of `profiles`.",
        check=_known_profile,
    )
    portability_level = Setting(
        "CPUIDPortabilityLevel",
        int,
        "How much of newer processors is hidden from the guest: 0 nothing, 3 the most.",
        # VirtualBox takes any number.
        check=within(0, 3),
    )
    execution_engine = MachineChoice[ExecutionEngine](
        "VMExecutionEngine",
        "VMExecutionEngine",
        "What runs the guest's code; VirtualBox 7.1 and newer.",
    )
    pae = _cpu("PAE", "Whether a 32-bit guest sees physical address extension.")
    long_mode = _cpu("LongMode", "Whether the guest can be a 64-bit one.")
    x2apic = _X2Apic(*_X86, "X2APIC", "Whether the guest sees an x2APIC, and with it an APIC.")
    apic = _Apic(*_X86, "APIC", "Whether the guest sees an APIC; off also turns `x2apic` off.")
    nested_hw_virt = _cpu("HWVirt", "Whether the guest can run virtual machines itself.")
    triple_fault_reset = _cpu("TripleFaultReset", "Reset, not stop, on a triple fault.")
    spec_ctrl = _cpu("SpecCtrl", "Whether the guest sees the speculation control interfaces.")
    spec_ctrl_by_host = _cpu("SpecCtrlByHost", "Let the host control speculation for the guest.")
    ibpb_on_vm_exit = _cpu("IBPBOnVMExit", "Flush indirect branch prediction on leaving the VM.")
    ibpb_on_vm_entry = _cpu("IBPBOnVMEntry", "Flush indirect branch prediction on entering the VM.")
    l1d_flush_on_scheduling = _cpu(
        "L1DFlushOnEMTScheduling", "Flush the level 1 data cache when a VM thread is scheduled."
    )
    l1d_flush_on_vm_entry = _cpu(
        "L1DFlushOnVMEntry", "Flush the level 1 data cache on entering the VM."
    )
    mds_clear_on_scheduling = _cpu(
        "MDSClearOnEMTScheduling", "Clear CPU buffers when a VM thread is scheduled."
    )
    mds_clear_on_vm_entry = _cpu("MDSClearOnVMEntry", "Clear CPU buffers on entering the VM.")

    def _locate(self, machine: Any) -> Any:
        return machine

    @property
    @api_call("list the CPU profiles")
    def profiles(self) -> list[str]:
        """The names that `profile` can have."""
        return cpu_profiles(self._api)

    @property
    @api_call("read which CPUs are plugged in")
    def plugged(self) -> tuple[int, ...]:
        """The numbers of the CPUs that are plugged in; all, unless `hot_plug` is on."""
        com = self._current()
        return tuple(n for n in range(int(com.CPUCount)) if com.getCPUStatus(n))

    @api_call("plug a CPU in")
    def plug(self, number: int) -> None:
        """
        Plug a CPU in, also while the machine runs.

        A Linux guest uses it after ``echo 1 > /sys/devices/system/cpu/cpu<n>/online``.

        Args:
            number: From 1 to `Machine.cpus` - 1.

        Raises:
            ApiError: It is plugged in, there is no such CPU, or `hot_plug` is off.
        """
        self._require_slot(number, "plug a CPU in")
        with self._changing() as com:
            com.hotPlugCPU(number)

    @api_call("plug a CPU out")
    def unplug(self, number: int) -> None:
        """
        Plug a CPU out, also while the machine runs.

        A running guest is asked to let go of it, and has about ten seconds; one that does not
        keeps it.

        Args:
            number: From 1 to `Machine.cpus` - 1; CPU 0 stays.

        Raises:
            ApiError: It is not plugged in, `hot_plug` is off, or the guest did not let go of it.
        """
        self._require_slot(number, "plug a CPU out")
        with self._changing() as com:
            try:
                com.hotUnplugCPU(number)
            except Exception as error:
                foreign = self._api.foreign(error)
                if foreign is None or foreign.symbol != "VBOX_E_VM_ERROR":
                    raise
                raise ApiError(
                    f"{self._subject()} ({self._state()}): the guest does not let go of CPU"
                    f" {number}, which stays: {foreign.text}",
                    code=foreign.code,
                    symbol=foreign.symbol,
                    text=foreign.text,
                    operation="plug a CPU out",
                    hint="it needs a kernel that can lose CPUs; or power the machine off first",
                ) from error

    def _require_slot(self, number: int, operation: str) -> None:
        com = self._current()
        if not com.CPUHotPlugEnabled:
            raise invalid(
                self,
                f"cannot {operation}: CPU hot plug is off",
                operation=operation,
                hint="set cpu.hot_plug = True while the machine is powered off",
            )
        most = int(com.CPUCount) - 1
        if not 1 <= number <= most:
            raise invalid(
                self,
                f"cannot {operation}: there is no CPU {number} that can be plugged",
                operation=operation,
                hint=f"1 to {most}; Machine.cpus is the most CPUs there can be"
                if most
                else "give the machine more CPUs first: Machine.cpus is the most there can be",
            )


class HwVirt(MachinePart):
    """
    How the host's hardware virtualisation is used; can be set while the machine is powered off.

    Without the kernel driver none of it has an effect.

    Example:
        ``machine.hw_virt.large_pages = True``
    """

    noun = "hardware virtualisation"

    enabled = _hw("Enabled", "Use the processor's virtualisation.")
    nested_paging = _hw("NestedPaging", "Let the processor translate the guest's addresses.")
    large_pages = _hw("LargePages", "Back the guest's memory with large pages.")
    vpid = _hw("VPID", "Tag the guest's TLB entries (Intel).")
    unrestricted_execution = _hw("UnrestrictedExecution", "Run real mode natively (Intel).")
    force = _hw("Force", "Fail to start where the processor cannot virtualise.")
    use_native_api = _hw("UseNativeApi", "Use the operating system's hypervisor.")
    virt_vmsave_vmload = _hw("VirtVmsaveVmload", "Run nested VMSAVE and VMLOAD natively (AMD).")

    def _locate(self, machine: Any) -> Any:
        return machine
