using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
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

    /// <summary>The CR4 that the CPU needs while a vCPU runs: RDTSC and the FS and GS base instructions are as the guest has chosen.</summary>
    public static ulong HardwareCr4(Vcpu vcpu)
    {
        const ulong Chosen = TimeStampDisable | FsGsBase;
        return (Cpu.ReadCr4() & ~Chosen) | (vcpu.GuestCr4 & Chosen);
    }

    /// <summary>MOV from a control register of the vCPU that runs on this CPU; false for one that guests do not have.</summary>
    public static bool TryGet(Vcpu vcpu, uint register, out ulong value)
    {
        switch (register)
        {
            case 0:
                value = GuestCr0(vcpu);
                return true;
            case 2:
                value = vcpu.State.Cr2;
                return true;
            case 3:
                value = vcpu.KernelRoot << Cpu.PageShift;
                return true;
            case 4:
                value = vcpu.GuestCr4;
                return true;
            default:
                value = 0;
                return false;
        }
    }

    /// <summary>MOV to a control register of the vCPU that runs on this CPU, in guest kernel mode.</summary>
    /// <returns>0; -ERESTART when the instruction is to be executed again; another errno for #GP.</returns>
    public static long TrySet(Vcpu vcpu, uint register, ulong value)
    {
        switch (register)
        {
            case 0:
                if (((value ^ Cpu.ReadCr0()) & ~TaskSwitched) != 0)
                {
                    return -Errno.EPERM;
                }

                vcpu.State.TaskSwitched = (byte)((value & TaskSwitched) != 0 ? 1 : 0);
                return 0;
            case 2:
                vcpu.State.SetFaultAddress(value);
                return 0;
            case 3:
                return SetRoot(vcpu, value >> Cpu.PageShift);
            case 4:
                vcpu.GuestCr4 = GuestCr4(value);
                Cpu.WriteCr4(HardwareCr4(vcpu));
                return 0;
            default:
                return -Errno.EPERM;
        }
    }

    private static long SetRoot(Vcpu vcpu, ulong frame)
    {
        vcpu.Domain.PageTableLock.Acquire();
        int result = PendingTable.FinishLocked(vcpu, vcpu.Domain);
        if (result == 0)
        {
            result = RootTable.SetKernelRoot(vcpu, frame);
        }

        vcpu.Domain.PageTableLock.Release();
        FrameQuarantine.Drain();
        return result;
    }
}
