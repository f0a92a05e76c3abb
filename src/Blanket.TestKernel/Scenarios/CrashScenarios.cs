using System;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>What must cost a domain its life, and nobody else anything.</summary>
internal static unsafe class CrashScenarios
{
    private const ulong Nowhere = 0x12_3456_7000;

    /// <summary>Runs the scenario of a name; when it returns, the domain has survived.</summary>
    internal static void Run(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("no-trap-table"u8))
        {
            Hypercall.Invoke(HypercallNumber.SetTrapTable, 0);
            *(ulong*)Nowhere = 1;
        }
        else if (name.SequenceEqual("handler-nowhere"u8))
        {
            // Each page fault's handler faults again, until the stack is used up.
            TrapInfo* table = stackalloc TrapInfo[2];
            table[0] = default;
            table[0].Vector = (byte)Trap.PageFault;
            table[0].CodeSelector = Selector.FlatCode64;
            table[0].Address = Nowhere;
            table[1] = default;
            Domain.Require(Hypercall.Invoke(HypercallNumber.SetTrapTable, (ulong)table));
            *(ulong*)Nowhere = 1;
        }
        else if (name.SequenceEqual("handler-in-hypervisor"u8))
        {
            TrapInfo* table = stackalloc TrapInfo[2];
            table[0] = default;
            table[0].Vector = (byte)Trap.PageFault;
            table[0].CodeSelector = Selector.FlatCode64;
            table[0].Address = 0xffff_82d0_4020_0000;
            table[1] = default;
            Domain.Require(Hypercall.Invoke(HypercallNumber.SetTrapTable, (ulong)table));
            *(ulong*)Nowhere = 1;
        }
        else if (name.SequenceEqual("stack-nowhere"u8))
        {
            Trap.FaultWithStack(Nowhere);
        }
        else if (name.SequenceEqual("stack-in-hypervisor"u8))
        {
            Trap.FaultWithStack(0xffff_8300_0010_0000);
        }
        else if (name.SequenceEqual("stack-not-canonical"u8))
        {
            Trap.FaultWithStack(0x8000_0000_0000_0100);
        }
        else if (name.SequenceEqual("iret-without-frame"u8))
        {
            Trap.IretWithStack(Nowhere);
        }
        else if (name.SequenceEqual("iret-from-hypervisor"u8))
        {
            Trap.IretWithStack(0xffff_82d0_4020_0000);
        }
        else if (name.SequenceEqual("iret-without-user-root"u8))
        {
            ulong* frame = stackalloc ulong[9];
            frame[5] = Selector.FlatCode64;
            Trap.IretWithStack((ulong)frame);
        }
        else if (name.SequenceEqual("iret-in-multicall"u8))
        {
            ulong* entry = stackalloc ulong[8];
            entry[0] = HypercallNumber.Iret;
            Hypercall.Invoke(HypercallNumber.Multicall, (ulong)entry, 1);
        }
        else if (name.SequenceEqual("kernel-unmapped"u8))
        {
            // A root without the kernel: the first fetch faults, and so does the frame for the fault.
            Page root = Page.Take();
            root.MakeReadOnly();
            Domain.Require(Hypercall.MmuExtended(MmuExtendedCommand.PinL4Table, root.Mfn));
            Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, root.Mfn);
        }
        else if (name.SequenceEqual("user-stack-nowhere"u8))
        {
            Domain.Require(Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, Domain.RootFrame));
            Hypercall.Invoke(HypercallNumber.StackSwitch, Selector.FlatStack64, Nowhere);
            InstructionScenarios.EnterUser();
        }
        else if (name.SequenceEqual("event-callback-nowhere"u8))
        {
            // Taken with the event that is pending at the console's port, or made so here, as soon as events are let in.
            Hypercall.Invoke(HypercallNumber.SetCallbacks, Nowhere, Nowhere, Nowhere);
            Hypercall.Invoke(HypercallNumber.SetTrapTable, 0);
            EventChannelBindIpi ipi = default;
            Domain.Require(Hypercall.Event(EventChannelOp.BindIpi, &ipi));
            uint port = ipi.Port;
            Domain.Require(Hypercall.Event(EventChannelOp.Send, &port));
            Hypercall.Sched(SchedOp.Block, null);
        }
        else if (name.SequenceEqual("shutdown-crash"u8))
        {
            Domain.Shutdown(ShutdownReason.Crash);
        }
        else
        {
            Output.Line("testkernel: there is no such scenario"u8);
        }
    }
}
