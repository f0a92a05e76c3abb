using System.Runtime;
using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Exceptions: the kernel's trap table, and calls that may end in one.</summary>
internal static unsafe class Trap
{
    /// <summary>A guarded call that returned.</summary>
    internal const ulong None = ulong.MaxValue;

    internal const ulong DivideError = 0;
    internal const ulong Debug = 1;
    internal const ulong Breakpoint = 3;
    internal const ulong InvalidOpcode = 6;
    internal const ulong DeviceNotAvailable = 7;
    internal const ulong SegmentNotPresent = 11;
    internal const ulong StackFault = 12;
    internal const ulong GeneralProtection = 13;
    internal const ulong PageFault = 14;
    internal const ulong AlignmentCheck = 17;

    /// <summary>Entry at the callback of SYSCALL from user mode.</summary>
    internal const ulong SystemCall = 0x100;

    /// <summary>Entry at the callback of 32-bit SYSCALL.</summary>
    internal const ulong SystemCall32 = 0x101;

    /// <summary>Entry at the failsafe callback.</summary>
    internal const ulong Failsafe = 0x102;

    private const int StubSize = 32;
    private static TrapInfoTable s_table;

    /// <summary>Registers a handler for every vector, and the callbacks, for the vCPU that runs this.</summary>
    internal static void Initialize()
    {
        for (int vector = 0; vector < 255; vector++)
        {
            ref TrapInfo entry = ref s_table[vector];
            entry.Vector = (byte)vector;
            entry.Flags = (byte)(TrapInfo.MaskEvents | (vector is 3 or 4 or 0x80 or 0x81 ? 3 : 0));
            entry.CodeSelector = Selector.FlatCode64;
            entry.Address = Stub(vector);
        }

        Register();
    }

    /// <summary>Registers everything again: scenarios break it.</summary>
    internal static void Register()
    {
        fixed (TrapInfo* table = &s_table[0])
        {
            Hypercall.Invoke(HypercallNumber.SetTrapTable, (ulong)table);
        }

        Hypercall.Invoke(HypercallNumber.SetCallbacks, EventEntry(), FailsafeEntry(), SyscallEntry());
        SetCallback(Callback.TypeSyscall, SyscallEntry());
        SetCallback(Callback.TypeSyscall32, Syscall32Entry());
        SetCallback(Callback.TypeFailsafe, FailsafeEntry());
    }

    /// <summary>Address of a vector's entry.</summary>
    internal static ulong Stub(int vector) => Stubs() + (ulong)(vector * StubSize);

    /// <summary>callback_op's register, always with events masked.</summary>
    internal static long SetCallback(ushort type, ulong address)
    {
        CallbackRegister register = default;
        register.Type = type;
        register.Flags = Callback.MaskEvents;
        register.Address = address;
        return Hypercall.Invoke(HypercallNumber.CallbackOp, Callback.Register, (ulong)(&register));
    }

    /// <summary>Calls a function; when it traps, <see cref="Vector"/> says how.</summary>
    internal static ulong Call(delegate*<ulong, ulong, ulong> function, ulong first = 0, ulong second = 0) => GuardedCall((ulong)function, first, second);

    /// <summary>Calls a function of assembly.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "guarded_call")]
    internal static extern ulong GuardedCall(ulong function, ulong first, ulong second);

    /// <summary>How the last guarded call of this vCPU ended.</summary>
    internal static ulong Vector => VcpuRegion.Current->Vector;

    internal static ulong ErrorCode => VcpuRegion.Current->ErrorCode;

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "trap_stubs_address")]
    private static extern ulong Stubs();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "event_entry_address")]
    internal static extern ulong EventEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "failsafe_entry_address")]
    internal static extern ulong FailsafeEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "syscall_entry_address")]
    internal static extern ulong SyscallEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "syscall32_entry_address")]
    internal static extern ulong Syscall32Entry();

    /// <summary>Raises an exception with the stack pointer at an address.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "fault_with_stack")]
    internal static extern void FaultWithStack(ulong address);

    /// <summary>HYPERVISOR_iret with the stack pointer, and so its frame, at an address.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "iret_with")]
    internal static extern void IretWithStack(ulong address);

    [RuntimeExport("trap_fatal")]
    private static void Fatal(ulong vector, ulong error, ulong rip, ulong rsp)
    {
        Output.Text("testkernel: unexpected trap "u8);
        Output.Hex(vector);
        Output.Text(", error "u8);
        Output.Hex(error);
        Output.Text(", rip "u8);
        Output.Hex(rip);
        Output.Text(", rsp "u8);
        Output.Hex(rsp);
        Output.Text(", cr2 "u8);
        Output.Hex(VcpuRegion.Current->Info->Cr2);
        Output.End();
        Domain.Shutdown(ShutdownReason.Crash);
    }

    [RuntimeExport("check_failed")]
    private static void CheckFailed(ulong address)
    {
        Output.Text("testkernel: a check of its own failed at "u8);
        Output.Hex(address);
        Output.End();
        Domain.Shutdown(ShutdownReason.Crash);
    }

    [RuntimeExport("event_upcall")]
    private static void Upcall()
    {
        VcpuRegion* region = VcpuRegion.Current;
        region->Info->EventPending = 0;
        region->Upcalls++;
    }
}
