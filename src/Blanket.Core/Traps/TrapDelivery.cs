using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>
/// Enters a guest kernel at one of its handlers, as hardware would enter a real kernel: switches to guest kernel mode and its
/// stack, pushes a frame, sets the event mask where asked. A guest that has no handler or no usable stack is crashed.
/// Works on the vCPU that runs on this CPU only.
/// </summary>
public static class TrapDelivery
{
    private const ulong FlagTrap = 1 << 8;
    private const ulong FlagInterrupt = 1 << 9;
    private const ulong FlagIoPrivilege = 3 << 12;
    private const ulong FlagNestedTask = 1 << 14;
    private const ulong FlagResume = 1 << 16;
    private const ulong FlagVirtual8086 = 1 << 17;
    private const ulong FlagAlignmentCheck = 1 << 18;

    /// <summary>Bit of <see cref="GuestTrap.Flags"/>: events are masked on entry (TI_SET_IF of xen.h).</summary>
    private const byte TrapMasksEvents = 1 << 2;

    /// <summary>Page-fault error code: the access was in user mode.</summary>
    public const uint PageFaultUser = 1 << 2;

    /// <summary>Delivers an exception without an error code.</summary>
    public static void Inject(Vcpu vcpu, byte vector)
    {
        ref VcpuState state = ref vcpu.State;
        GuestTrap trap = state.Trap(vector);
        Enter(vcpu, ref state, trap.Address, trap.CodeSelector, (trap.Flags & TrapMasksEvents) != 0);
    }

    /// <summary>Delivers an exception with an error code.</summary>
    public static void Inject(Vcpu vcpu, byte vector, uint errorCode)
    {
        ref VcpuState state = ref vcpu.State;
        GuestTrap trap = state.Trap(vector);
        if (!TryEnterKernel(vcpu, ref state, out GuestFrame interrupted, out ulong stack))
        {
            Crash(vcpu, trap.Address);
            return;
        }

        GuestFrameWithError frame = new()
        {
            Rcx = interrupted.Rcx,
            R11 = interrupted.R11,
            ErrorCode = errorCode,
            Rip = interrupted.Rip,
            Cs = interrupted.Cs,
            Rflags = interrupted.Rflags,
            Rsp = interrupted.Rsp,
            Ss = interrupted.Ss,
        };
        Go(vcpu, ref state, stack, in frame, trap.Address, trap.CodeSelector, (trap.Flags & TrapMasksEvents) != 0);
    }

    /// <summary>Delivers a page fault: CR2 and an error code as the guest's own view of privilege has it.</summary>
    public static void InjectPageFault(Vcpu vcpu, ulong address, uint errorCode)
    {
        ref VcpuState state = ref vcpu.State;
        state.SetFaultAddress(address);
        if (state.InKernel != 0)
        {
            errorCode &= ~PageFaultUser;
        }

        Inject(vcpu, 14, errorCode);
    }

    /// <summary>Enters the event callback with events masked.</summary>
    public static void DeliverEvent(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        Enter(vcpu, ref state, state.EventCallback, Selectors.GuestCode64, masksEvents: true);
    }

    /// <summary>Enters any callback that takes a plain frame (system call, NMI).</summary>
    public static void Enter(Vcpu vcpu, ulong address, bool masksEvents) =>
        Enter(vcpu, ref vcpu.State, address, Selectors.GuestCode64, masksEvents);

    /// <summary>Enters the failsafe callback: the guest's segment selectors could not be loaded.</summary>
    public static void DeliverFailsafe(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        if (!TryEnterKernel(vcpu, ref state, out GuestFrame interrupted, out ulong stack))
        {
            Crash(vcpu, state.FailsafeCallback);
            return;
        }

        FailsafeFrame frame = new()
        {
            Rcx = interrupted.Rcx,
            R11 = interrupted.R11,
            Ds = state.Ds,
            Es = state.Es,
            Fs = state.Fs,
            Gs = state.Gs,
            Rip = interrupted.Rip,
            Cs = interrupted.Cs,
            Rflags = interrupted.Rflags,
            Rsp = interrupted.Rsp,
            Ss = interrupted.Ss,
        };
        Go(vcpu, ref state, stack, in frame, state.FailsafeCallback, Selectors.GuestCode64, state.FailsafeMasksEvents != 0);
    }

    private static void Enter(Vcpu vcpu, ref VcpuState state, ulong address, ushort selector, bool masksEvents)
    {
        if (!TryEnterKernel(vcpu, ref state, out GuestFrame frame, out ulong stack))
        {
            Crash(vcpu, address);
            return;
        }

        Go(vcpu, ref state, stack, in frame, address, selector, masksEvents);
    }

    /// <summary>The frame of what is interrupted, and the stack to push it on; the guest is in kernel mode afterwards.</summary>
    private static bool TryEnterKernel(Vcpu vcpu, ref VcpuState state, out GuestFrame frame, out ulong stack)
    {
        ref GuestRegisters registers = ref state.Registers;
        byte mask = state.UpcallMask;
        frame.Rcx = registers.Rcx;
        frame.R11 = registers.R11;
        frame.Rip = registers.Rip;
        frame.Cs = registers.Cs | ((ulong)mask << 32);
        frame.Rflags = (registers.Rflags & ~(FlagInterrupt | FlagIoPrivilege)) | (mask == 0 ? FlagInterrupt : 0);
        frame.Rsp = registers.Rsp;
        frame.Ss = registers.Ss;
        if (state.InKernel != 0)
        {
            // A guest kernel believes to run in ring 0: its code selector shows that privilege level.
            frame.Cs &= ~3UL;
            stack = registers.Rsp & ~15UL;
        }
        else
        {
            stack = state.KernelStackPointer & ~15UL;
            GuestSwitch.EnterGuestKernel(ref state);
            if (state.RunStateIsStale != 0)
            {
                RunStateArea.Update(vcpu);
            }
        }

        return state.KernelCr3 != 0;
    }

    private static void Go<TFrame>(
        Vcpu vcpu, ref VcpuState state, ulong stack, in TFrame frame, ulong address, ushort selector, bool masksEvents)
        where TFrame : unmanaged
    {
        ulong size = (ulong)System.Runtime.CompilerServices.Unsafe.SizeOf<TFrame>();
        stack = unchecked(stack - size);
        if (address == 0 || !GuestMemory.TryWrite(stack, in frame))
        {
            Crash(vcpu, address);
            return;
        }

        ref GuestRegisters registers = ref state.Registers;
        registers.Rip = address;
        registers.Cs = (ushort)(selector | 3);
        registers.Rsp = stack;
        registers.Ss = Selectors.GuestData;
        registers.Rflags = (registers.Rflags & ~(FlagTrap | FlagIoPrivilege | FlagNestedTask | FlagResume | FlagVirtual8086
            | FlagAlignmentCheck)) | FlagInterrupt;

        // Whatever the entry was, the way back is IRET: rcx and r11 are the guest's.
        registers.EntryVector = 0;
        if (masksEvents)
        {
            state.UpcallMask = 1;
        }
    }

    private static void Crash(Vcpu vcpu, ulong address) =>
        vcpu.Domain.Crash(address == 0 ? "no handler for an exception"u8 : "the kernel stack cannot take an exception frame"u8);
}
