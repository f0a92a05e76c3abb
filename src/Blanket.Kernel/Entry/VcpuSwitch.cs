using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Scheduling;
using Blanket.Core.Traps;
using Blanket.Kernel.Guests;
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
        ref Vcpu? loaded = ref s_loaded[block->CpuNumber];
        if (loaded != null && loaded != next && block->CurrentVcpu != null)
        {
            // What the guest's other vCPUs see of it from here on. Its page tables are still in use here.
            RunStateArea.Update(loaded);
        }

        if (next == null)
        {
            block->CurrentVcpu = null;
            return;
        }

        if (loaded == next)
        {
            block->CurrentVcpu = GuestSwitch.Pointer(ref next.State);
        }
        else
        {
            Vcpu? previous = loaded;
            Save(previous, block);
            RunQueue.Hold(next, block->CpuNumber);
            Load(next, block);
            loaded = next;

            // Not before this CPU uses other page tables.
            Release(previous);
        }

        RunStateArea.Update(next);
    }

    /// <summary>
    /// For a CPU that has nothing to do: writes what it holds lazily to memory if that is wanted elsewhere, belongs to a domain that is
    /// about to be torn down, or costs others TLB flushes.
    /// </summary>
    /// <param name="wasFlushed">Another CPU has just had to wait for this one's TLB.</param>
    /// <returns>Whether there was something: look for work again.</returns>
    internal static bool LeaveWhileIdle(bool wasFlushed)
    {
        CpuBlock* block = CpuBlockAccess.Current;
        Vcpu? held = s_loaded[block->CpuNumber];
        if (held == null || (!wasFlushed && !held.Domain.IsDying && !held.Schedule.IsWaiting))
        {
            return false;
        }

        Leave();
        return true;
    }

    /// <summary>
    /// Writes what this CPU holds to memory and uses the hypervisor's own page tables, so that nobody has to wait for its TLB during a long
    /// piece of work. The work loop loads a vCPU again.
    /// </summary>
    internal static void Leave()
    {
        CpuBlock* block = CpuBlockAccess.Current;
        ref Vcpu? loaded = ref s_loaded[block->CpuNumber];
        Vcpu? previous = loaded;
        if (previous != null)
        {
            Save(previous, block);
            Cpu.WriteCr3(HypervisorRoot.Cr3);
            TlbFlush.LeaveVcpu();
            loaded = null;
            Release(previous);
        }
    }

    /// <summary>Tells the guest that goes on here what became of its time, which it may not have spent running.</summary>
    internal static void UpdateRunState()
    {
        CpuBlock* block = CpuBlockAccess.Current;
        if (block->CurrentVcpu != null)
        {
            RunStateArea.Update(s_loaded[block->CpuNumber]!);
        }
    }

    private static void Save(Vcpu? loaded, CpuBlock* block)
    {
        if (loaded != null)
        {
            block->CurrentVcpu = GuestSwitch.Pointer(ref loaded.State);
            GuestSwitch.SaveCurrent();
        }
    }

    private static void Release(Vcpu? vcpu)
    {
        if (vcpu != null)
        {
            bool isDying = vcpu.Domain.IsDying;
            RunQueue.Released(vcpu, SystemTime.Now);
            if (isDying)
            {
                GuestManager.Wake();
            }
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
