using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>
/// The debug registers of a guest: HYPERVISOR_set_debugreg, get_debugreg and the moves to and from DRn. Breakpoints on the hypervisor's
/// addresses and general detect are refused; I/O breakpoints never reach the CPU (Intel SDM vol. 3, 18.2).
/// </summary>
public static class DebugRegisters
{
    private const ulong DebugExtensions = ControlRegisters.DebugExtensions;

    private const ulong StatusReservedOne = 0xffff0ff0;
    private const ulong StatusReservedZero = 1 << 12;
    private const ulong ControlReservedOne = 1 << 10;
    private const ulong ControlReservedZero = 0xd800;
    private const ulong GeneralDetect = 1 << 13;

    // Local and global enables of the four breakpoints.
    private const ulong EnableMask = 0xff;
    private const int FirstTypeBit = 16;
    private const int TypeStep = 4;
    private const ulong TypeIo = 2;

    /// <summary>DR6 and DR7 of a new vCPU, the others 0.</summary>
    public static void Reset(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        for (int i = 0; i < 4; i++)
        {
            GuestDebugRegisters.At(ref state, i) = 0;
        }

        GuestDebugRegisters.At(ref state, GuestDebugRegisters.StatusIndex) = StatusReservedOne;
        GuestDebugRegisters.At(ref state, GuestDebugRegisters.ControlIndex) = 0;
        vcpu.DebugControl = ControlReservedOne;
        vcpu.EmulatedDebugControl = 0;
    }

    /// <summary>Sets a register.</summary>
    /// <returns>
    /// 0; -ENODEV for a register that does not exist (#UD for an instruction); -EINVAL for reserved bits and -EPERM for what
    /// a guest may not have (#GP).
    /// </returns>
    public static long TrySet(Vcpu vcpu, uint register, ulong value)
    {
        if (register is 4 or 5)
        {
            // Without the debug extensions these are other names of 6 and 7.
            if ((vcpu.GuestCr4 & DebugExtensions) != 0)
            {
                return -Errno.ENODEV;
            }

            register += 2;
        }

        return register switch
        {
            < 4 => SetAddress(vcpu, (int)register, value),
            6 => SetStatus(vcpu, value),
            7 => SetControl(vcpu, value),
            _ => -Errno.ENODEV,
        };
    }

    /// <summary>Reads a register; false for one that does not exist.</summary>
    public static bool TryGet(Vcpu vcpu, uint register, out ulong value)
    {
        value = 0;
        if (register is 4 or 5)
        {
            if ((vcpu.GuestCr4 & DebugExtensions) != 0)
            {
                return false;
            }

            register += 2;
        }

        switch (register)
        {
            case < 4:
                value = GuestDebugRegisters.At(ref vcpu.State, (int)register);
                return true;
            case 6:
                value = GuestDebugRegisters.At(ref vcpu.State, GuestDebugRegisters.StatusIndex);
                return true;
            case 7:
                value = vcpu.DebugControl | vcpu.EmulatedDebugControl;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Adds causes to DR6, as the CPU does before #DB.</summary>
    internal static void AddStatus(Vcpu vcpu, ulong causes)
    {
        GuestDebugRegisters.At(ref vcpu.State, GuestDebugRegisters.StatusIndex) |= causes | StatusReservedOne;
        GuestDebugRegisters.Reload(ref vcpu.State);
    }

    /// <summary>The I/O breakpoints, bits 0-3, that an access to ports hits.</summary>
    internal static ulong MatchPort(Vcpu vcpu, uint port, int size)
    {
        if (vcpu.EmulatedDebugControl == 0 || (vcpu.GuestCr4 & DebugExtensions) == 0)
        {
            return 0;
        }

        ulong hit = 0;
        for (int i = 0; i < 4; i++)
        {
            if (((vcpu.EmulatedDebugControl >> (2 * i)) & 3) == 0)
            {
                continue;
            }

            // Lengths 0 to 3 mean 1, 2, 8 and 4 bytes.
            int length = (int)(vcpu.DebugControl >> (FirstTypeBit + i * TypeStep + 2)) & 3;
            ulong width = length == 3 ? 4UL : 1UL << (length == 2 ? 3 : length);
            ulong start = GuestDebugRegisters.At(ref vcpu.State, i) & ~(width - 1);
            if (start < port + (uint)size && unchecked(start + width) > port)
            {
                hit |= 1UL << i;
            }
        }

        return hit;
    }

    private static long SetAddress(Vcpu vcpu, int register, ulong value)
    {
        // The CPU ignores the low bits that a breakpoint's length covers, so no breakpoint reaches beyond where it starts.
        if (!AddressSpace.IsGuestAddress(value))
        {
            return -Errno.EPERM;
        }

        GuestDebugRegisters.At(ref vcpu.State, register) = value;
        GuestDebugRegisters.Reload(ref vcpu.State);
        return 0;
    }

    private static long SetStatus(Vcpu vcpu, ulong value)
    {
        if (value > uint.MaxValue)
        {
            return -Errno.EINVAL;
        }

        GuestDebugRegisters.At(ref vcpu.State, GuestDebugRegisters.StatusIndex) = (value & ~StatusReservedZero) | StatusReservedOne;
        GuestDebugRegisters.Reload(ref vcpu.State);
        return 0;
    }

    private static long SetControl(Vcpu vcpu, ulong value)
    {
        if (value > uint.MaxValue)
        {
            return -Errno.EINVAL;
        }

        value = (value & ~ControlReservedZero) | ControlReservedOne;
        if ((value & GeneralDetect) != 0)
        {
            return -Errno.EPERM;
        }

        ulong io = IoBreakpoints(value);
        if (io != 0 && (vcpu.GuestCr4 & DebugExtensions) == 0)
        {
            return -Errno.EPERM;
        }

        vcpu.EmulatedDebugControl = value & io;
        value &= ~io;
        vcpu.DebugControl = value;
        GuestDebugRegisters.At(ref vcpu.State, GuestDebugRegisters.ControlIndex) = (value & EnableMask) != 0 ? value : 0;
        GuestDebugRegisters.Reload(ref vcpu.State);
        return 0;
    }

    // The enable bits of the breakpoints that are on I/O ports; none while no breakpoint is enabled at all.
    private static ulong IoBreakpoints(ulong control)
    {
        ulong enables = 0;
        for (int i = 0; i < 4 && (control & EnableMask) != 0; i++)
        {
            if (((control >> (FirstTypeBit + i * TypeStep)) & 3) == TypeIo)
            {
                enables |= 3UL << (2 * i);
            }
        }

        return enables;
    }
}
