using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>
/// Where a guest kernel is entered. Addresses are canonical, always: SYSRET and IRETQ to another one fault in ring 0 on some CPUs.
/// </summary>
public static class GuestCallbacks
{
    private const byte NmiVector = 2;

    /// <summary>Sets a callback of a vCPU that does not run elsewhere.</summary>
    /// <returns>0; -EINVAL for an address that is not canonical; -ENOSYS for an unknown type.</returns>
    public static int Register(Vcpu vcpu, ushort type, ulong address, bool masksEvents)
    {
        if (!AddressSpace.IsCanonical(address))
        {
            return -Errno.EINVAL;
        }

        ref VcpuState state = ref vcpu.State;
        byte masks = masksEvents ? (byte)1 : (byte)0;
        switch (type)
        {
            case Callback.TypeEvent:
                state.EventCallback = address;
                return 0;
            case Callback.TypeFailsafe:
                state.FailsafeCallback = address;
                state.FailsafeMasksEvents = masks;
                return 0;
            case Callback.TypeSyscall:
                state.SyscallCallback = address;
                state.SyscallMasksEvents = masks;
                return 0;
            case Callback.TypeNmi:
                RegisterNmi(ref state, address);
                return 0;
            case Callback.TypeSyscall32:
                state.Syscall32Callback = address;
                state.Syscall32MasksEvents = masks;
                return 0;
            case Callback.TypeSysenter:
                state.SysenterCallback = address;
                state.SysenterMasksEvents = masks;
                return 0;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>Takes a callback away; only the NMI's can be.</summary>
    /// <returns>0; -EINVAL for one that must stay; -ENOSYS for an unknown type.</returns>
    public static int Unregister(Vcpu vcpu, ushort type)
    {
        switch (type)
        {
            case Callback.TypeNmi:
                RegisterNmi(ref vcpu.State, 0);
                return 0;
            case Callback.TypeEvent:
            case Callback.TypeFailsafe:
            case Callback.TypeSyscall:
            case Callback.TypeSyscall32:
            case Callback.TypeSysenter:
                return -Errno.EINVAL;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static void RegisterNmi(ref VcpuState state, ulong address)
    {
        state.NmiCallback = address;
        ref GuestTrap trap = ref state.Trap(NmiVector);
        trap.Address = address;
        trap.CodeSelector = Selectors.GuestCode64;
        trap.Flags = TrapInfo.MaskEvents;
    }
}
