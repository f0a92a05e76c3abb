using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Single instructions (Assembly/probes.S), in guest kernel and in guest user mode, and ways between the two.</summary>
internal static unsafe class InstructionScenarios
{
    private const ulong Anything = 0xfffe;
    private const ulong Either = 1 << 16;
    private const ulong FaultOrProtection = Either | Trap.PageFault << 8 | Trap.GeneralProtection;

#pragma warning disable CS0649 // assembly fills the table
    private struct Probe
    {
        internal byte* Text;
        internal ulong Function;
        internal ulong Vector;
    }
#pragma warning restore CS0649

    /// <summary>Every probe of the table.</summary>
    internal static void Kernel()
    {
        SetKernelTable((ulong)Domain.Home(Domain.PseudoPhysicalOfMachine(PageEntry.FrameOf(*Domain.Entry(Domain.VirtualBase, 2)))));
        for (Probe* probe = First(); probe < End(); probe++)
        {
            Trap.GuardedCall(probe->Function, 0, 0);
            ReadOnlySpan<byte> text = new(probe->Text, 100);
            text = text.Slice(0, text.IndexOf((byte)0));
            if (probe->Vector == Anything)
            {
                Report.True(text, true);
            }
            else
            {
                Report.Trapped(text, OneOf(probe->Vector));
            }
        }
    }

    /// <summary>Guest user mode: the kernel's own page tables serve, since every page of a 64-bit PV guest is a user page.</summary>
    internal static void User()
    {
        Report.Equal("a root for user mode"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, Domain.RootFrame), 0);
        Hypercall.Invoke(HypercallNumber.StackSwitch, Selector.FlatStack64, KernelStack());
        Enter(UserSyscall(), "syscall"u8, Trap.SystemCall);
        Enter(UserInt80(), "int 0x80"u8, 0x80);
        Enter(UserHlt(), "hlt"u8, Trap.GeneralProtection);
        Enter(UserUd2(), "ud2"u8, Trap.InvalidOpcode);
        Enter(UserCli(), "cli"u8, Trap.GeneralProtection);
        Enter(UserCr0(), "read cr0"u8, Trap.GeneralProtection);
        Enter(UserRdmsr(), "rdmsr"u8, Trap.GeneralProtection);
        Enter(UserInt82(), "int 0x82"u8, Trap.GeneralProtection);
        Enter(0x123456000, "nowhere"u8, Trap.PageFault);
        Enter(0xffff_82d0_4020_0000, "the hypervisor's code"u8, Trap.PageFault);
        Enter(0x8000_0000_0000_0000, "not canonical"u8, FaultOrProtection);
        Enter(0x8000_0000_0000, "just behind the lower half"u8, FaultOrProtection);
        Return("code selector 0"u8, UserSyscall(), 3, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("the hypervisor's code"u8, UserSyscall(), 0xe00b, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("the task state as code"u8, UserSyscall(), 0xe043, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("code beyond the table"u8, UserSyscall(), 0xfffb, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("data as code"u8, UserSyscall(), Selector.FlatStack64, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("code as stack"u8, UserSyscall(), Selector.FlatCode64, Selector.FlatCode64, 0, Trap.GeneralProtection);
        Return("the hypervisor's stack"u8, UserSyscall(), Selector.FlatCode64, 0xe013, 0, Trap.GeneralProtection);
        Return("stack beyond the table"u8, UserSyscall(), Selector.FlatCode64, 0xfffb, 0, Trap.GeneralProtection);
        Return("null stack"u8, UserSyscall(), Selector.FlatCode64, 0, 0, Trap.GeneralProtection);
        Return("IOPL 3"u8, UserCli(), Selector.FlatCode64, Selector.FlatStack64, 0x3000, Trap.GeneralProtection);
        Return("VM"u8, UserSyscall(), Selector.FlatCode64, Selector.FlatStack64, 0x20000, Trap.SystemCall);
        Return("NT"u8, UserSyscall(), Selector.FlatCode64, Selector.FlatStack64, 0x4000, Trap.SystemCall);
        Return("TF"u8, UserSyscall(), Selector.FlatCode64, Selector.FlatStack64, 0x100, Trap.Debug);
        Return("every flag but TF"u8, UserSyscall(), Selector.FlatCode64, Selector.FlatStack64, 0xffff_ffff_ffff_feff, Trap.SystemCall);
        Report.Equal("no root for user mode"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, 0), 0);
    }

    /// <summary>HYPERVISOR_iret that stays in kernel mode.</summary>
    internal static void ReturnToKernel()
    {
        const ushort code = Selector.FlatCode64 & ~3;
        Return("to the kernel"u8, UserUd2(), code, Selector.FlatStack64, 0, Trap.InvalidOpcode);
        Return("code selector 0"u8, UserUd2(), 0, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("the hypervisor's code"u8, UserUd2(), 0xe008, Selector.FlatStack64, 0, Trap.GeneralProtection);
        Return("stack beyond the table"u8, UserUd2(), code, 0xfff8, 0, Trap.GeneralProtection);
        Return("not canonical"u8, 0x8000_0000_0000_0000, code, Selector.FlatStack64, 0, FaultOrProtection);
        Return("the hypervisor"u8, 0xffff_82d0_4020_0000, code, Selector.FlatStack64, 0, Trap.PageFault);
        Return("single step"u8, UserNops(), code, Selector.FlatStack64, 0x100, Trap.Debug);
    }

    /// <summary>Goes to user mode, which makes a system call at once.</summary>
    internal static void EnterUser()
    {
        ulong* frame = stackalloc ulong[9];
        frame[4] = UserSyscall();
        frame[5] = Selector.FlatCode64;
        frame[6] = 2;
        frame[7] = KernelStack();
        frame[8] = Selector.FlatStack64;
        Trap.IretWithStack((ulong)frame);
    }

    /// <summary>The vector that the last call ended in, if it is one of two that are right; otherwise the first.</summary>
    private static ulong OneOf(ulong vectors)
    {
        if (vectors == Trap.None || (vectors & Either) == 0)
        {
            return vectors;
        }

        ulong second = vectors >> 8 & 0xff;
        return Trap.Vector == second ? second : vectors & 0xff;
    }

    private static ulong KernelStack()
    {
        // Where the stack of the guarded call does not reach: far below in this vCPU's region.
        return (ulong)VcpuRegion.Current + VcpuRegion.Size / 2;
    }

    private static void Enter(ulong rip, ReadOnlySpan<byte> what, ulong vector) =>
        Return(what, rip, Selector.FlatCode64, Selector.FlatStack64, 0, vector);

    /// <summary>Goes to an address by HYPERVISOR_iret, once as the way back from a system call and once not.</summary>
    private static void Return(ReadOnlySpan<byte> what, ulong rip, ushort cs, ushort ss, ulong flags, ulong vector)
    {
        const ulong inSyscall = 0x100;
        ulong* frame = stackalloc ulong[9];
        for (int way = 0; way < 2; way++)
        {
            frame[0] = 0;
            frame[1] = 0;
            frame[2] = 0;
            frame[3] = way == 0 ? 0 : inSyscall;
            frame[4] = rip;
            frame[5] = cs;
            frame[6] = flags | 2;
            frame[7] = KernelStack();
            frame[8] = ss;
            Trap.GuardedCall(IretWith(), (ulong)frame, 0);


            // SYSRET has no stack selector to get wrong.
            bool ignoresStack = way == 1 && (cs | 3) == Selector.FlatCode64 && ss != Selector.FlatStack64;
            ulong atTarget = rip == UserSyscall() ? Trap.SystemCall : Trap.InvalidOpcode;
            Report.Trapped(what, ignoresStack ? atTarget : OneOf(vector));
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "probes_start_address")]
    private static extern Probe* First();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "probes_end_address")]
    private static extern Probe* End();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "set_kernel_table")]
    private static extern void SetKernelTable(ulong address);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "iret_with_address")]
    private static extern ulong IretWith();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_syscall_address")]
    private static extern ulong UserSyscall();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_int80_address")]
    private static extern ulong UserInt80();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_hlt_address")]
    private static extern ulong UserHlt();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_ud2_address")]
    private static extern ulong UserUd2();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_cli_address")]
    private static extern ulong UserCli();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_nops_address")]
    private static extern ulong UserNops();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_cr0_address")]
    private static extern ulong UserCr0();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_rdmsr_address")]
    private static extern ulong UserRdmsr();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "user_int82_address")]
    private static extern ulong UserInt82();
}
