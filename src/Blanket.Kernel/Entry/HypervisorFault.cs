using System;
using System.Runtime;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>Faults and failed checks of the hypervisor itself: the guest being served pays, or the machine (docs/architecture.md, "Abandoning a handler").</summary>
internal static unsafe class HypervisorFault
{
    private const uint Nmi = 2;
    private const uint DoubleFault = 8;
    private const uint MachineCheck = 18;

    /// <summary>An exception in ring 0 that no guarded access explains.</summary>
    [RuntimeExport("hypervisor_exception")]
    private static void Exception(GuestRegisters* registers)
    {
        Log.Line("exception "u8).Decimal(registers->EntryVector).Text(" in the hypervisor, error "u8).Hex(registers->ErrorCode)
            .Text(", rip "u8).Hex(registers->Rip).Text(", rsp "u8).Hex(registers->Rsp).Text(", cr2 "u8).Hex(Cpu.ReadCr2()).End();
        bool canAbandon = registers->EntryVector is not (Nmi or DoubleFault or MachineCheck);
        if (!canAbandon || !TryChargeGuest(registers->Rip, registers->Rbp))
        {
            Panic.Stop("exception in the hypervisor"u8, registers->Rip, registers->Rbp);
        }

        Privileged.ResumeExitPath();
    }

    /// <summary>A failed check in C# (bounds, null, Check.That).</summary>
    [RuntimeExport("handler_abandoned")]
    private static void Abandoned(ulong returnAddress, ulong framePointer, ulong stackPointer)
    {
        if (!TryChargeGuest(returnAddress, framePointer))
        {
            Panic.Stop("a check of the hypervisor failed"u8, returnAddress, framePointer);
        }
    }

    /// <summary>
    /// Crashes the guest on whose behalf this CPU runs, if the state that the handler may have left behind is that guest's alone: the one on whose rings a backend
    /// works, else the one whose event the services work on, else the one that runs.
    /// </summary>
    private static bool TryChargeGuest(ulong instruction, ulong framePointer)
    {
        if (CpuBlockAccess.Current->AbandonStack == 0 || HeldLocks.AnyOfMachine())
        {
            return false;
        }

        Domain? served = BackendService.ServedOnRings;
        Domain? domain = served ?? ServiceChannels.Served ?? Scheduler.Current?.Domain;

        // A guest that has ended can pay no more, but its rings are closed in any case.
        if (domain == null || (domain.IsShutDown && (served == null || !BackendService.Bus.CanCloseRings)))
        {
            return false;
        }

        Log.Line("handler abandoned at "u8).Hex(instruction).End();
        Panic.WriteStack(framePointer);
        HeldLocks.ReleaseAll();
        domain.Crash("a check of the hypervisor failed while serving it"u8);
        return true;
    }
}
