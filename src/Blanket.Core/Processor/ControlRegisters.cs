using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>
/// The control registers that a guest sees. Of CR0 only TS is its own; of CR4 a few bits are, and it sees the hypervisor's
/// choice of a few others (Intel SDM vol. 3, 2.5).
/// </summary>
public static class ControlRegisters
{
    /// <summary>CR0.TS.</summary>
    public const ulong TaskSwitched = 1 << 3;

    /// <summary>CR4.TSD.</summary>
    public const ulong TimeStampDisable = 1 << 2;

    /// <summary>CR4.DE.</summary>
    public const ulong DebugExtensions = 1 << 3;

    /// <summary>CR4.FSGSBASE.</summary>
    public const ulong FsGsBase = 1 << 16;

    /// <summary>CR4.OSXSAVE.</summary>
    public const ulong OsXsave = 1 << 18;

    private const ulong PhysicalAddressExtension = 1 << 5;
    private const ulong MachineCheckEnable = 1 << 6;
    private const ulong FastSave = 1 << 9;
    private const ulong UnmaskedSimdExceptions = 1 << 10;
    private const ulong VisibleCr4 = PhysicalAddressExtension | MachineCheckEnable | FastSave | UnmaskedSimdExceptions;

    /// <summary>CR0 as a guest sees it.</summary>
    public static ulong GuestCr0(Vcpu vcpu) =>
        (Cpu.ReadCr0() & ~TaskSwitched) | (vcpu.State.TaskSwitched != 0 ? TaskSwitched : 0);

    /// <summary>What a guest reads from CR4 after it has written <paramref name="wanted"/>.</summary>
    public static ulong GuestCr4(ulong wanted)
    {
        ulong own = (CpuidPolicy.Has(CpuFeature.Tsc) ? TimeStampDisable : 0)
            | (CpuidPolicy.Has(CpuFeature.De) ? DebugExtensions : 0)
            | (CpuidPolicy.Has(CpuFeature.FsGsBase) ? FsGsBase : 0)
            | (CpuidPolicy.Has(CpuFeature.Xsave) ? OsXsave : 0);
        return (wanted & own) | (Cpu.ReadCr4() & VisibleCr4);
    }
}
