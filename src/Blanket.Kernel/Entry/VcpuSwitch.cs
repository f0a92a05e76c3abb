using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Scheduling;
using Blanket.Core.Traps;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>
/// Gives this CPU to another vCPU. State is switched lazily: an idle CPU keeps what it has loaded, so a vCPU that
/// blocks and is woken again finds everything in place.
/// </summary>
internal static unsafe class VcpuSwitch
{
    // Which vCPU's registers, tables and translations this CPU holds, by CPU number.
    private static Vcpu?[] s_loaded = null!;

    /// <summary>No CPU holds anything yet; once at boot, in an allocation scope.</summary>
    internal static void Initialize() => s_loaded = new Vcpu?[Cpu.MaximumCpus];

    /// <summary>Makes <paramref name="next"/> the vCPU that the exit path resumes; null for none.</summary>
    internal static void To(Vcpu? next)
    {
        CpuBlock* block = CpuBlockAccess.Current;
        if (next == null)
        {
            block->CurrentVcpu = null;
            return;
        }

        ref Vcpu? loaded = ref s_loaded[block->CpuNumber];
        if (loaded == next)
        {
            block->CurrentVcpu = GuestSwitch.Pointer(ref next.State);
        }
        else
        {
            Unload(ref loaded, block);
            Load(next, block);
            loaded = next;
        }

        RunStateArea.Update(next);
    }

    /// <summary>Makes this CPU forget a domain that is about to be torn down: its tables and registers.</summary>
    internal static void Forget(Domain domain)
    {
        CpuBlock* block = CpuBlockAccess.Current;
        ref Vcpu? loaded = ref s_loaded[block->CpuNumber];
        if (loaded != null && loaded.Domain == domain)
        {
            Unload(ref loaded, block);
            Cpu.WriteCr3(HypervisorRoot.Frame << Cpu.PageShift);
            TlbFlush.LeaveVcpu();
            block->CurrentVcpu = null;
        }
    }

    private static void Unload(ref Vcpu? loaded, CpuBlock* block)
    {
        if (loaded != null)
        {
            block->CurrentVcpu = GuestSwitch.Pointer(ref loaded.State);
            GuestSwitch.SaveCurrent();
            loaded = null;
        }
    }

    private static void Load(Vcpu next, CpuBlock* block)
    {
        TlbFlush.EnterVcpu(next);
        ProcessorSwitch.Load(next);
        Core.Memory.DescriptorWindow.Current!.ReloadGdt(next);
        Core.Memory.DescriptorWindow.Current.ReloadLdt(next);
        if (!GuestSwitch.Load(ref next.State))
        {
            // A selector that the guest's own table no longer allows: its failsafe callback sorts that out.
            TrapDelivery.DeliverFailsafe(next);
        }
    }
}
