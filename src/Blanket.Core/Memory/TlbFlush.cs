using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>Flushes other CPUs' TLBs; the kernel's interrupt controller code does it.</summary>
public abstract class RemoteTlb
{
    /// <summary>
    /// Has every CPU of the set flush its whole TLB and waits until all have. While it waits it answers
    /// requests of other CPUs (<see cref="CpuRequests.Service"/>); the caller may hold locks.
    /// </summary>
    /// <param name="cpus">CPUs other than the one that calls; not empty.</param>
    public abstract void Flush(in CpuSet cpus);
}

/// <summary>
/// Which TLBs may hold translations of which domain, and flushing them. The rule behind it: a frame changes neither type nor
/// owner while a TLB may hold a translation, or a cached page-table pointer, of its former use.
/// </summary>
public static class TlbFlush
{
    private const ulong Cr4GlobalPages = 1 << 7;

    private static RemoteTlb? s_remote;
    private static Vcpu?[]? s_resident;
    private static CpuSetCells s_active;

    /// <summary>Prepares for CPUs to run vCPUs; once at boot, in an allocation scope.</summary>
    /// <param name="remote">How to reach other CPUs; null while there is only one.</param>
    public static void Initialize(RemoteTlb? remote)
    {
        TlbClock.Initialize();
        s_resident = new Vcpu?[Cpu.MaximumCpus];
        s_active = default;
        s_remote = remote;
    }

    /// <summary>
    /// Makes this CPU known as one that holds translations of <paramref name="next"/> and drops those of the vCPU that ran here before.
    /// Call when a vCPU is about to be loaded, before its root table is.
    /// </summary>
    public static void EnterVcpu(Vcpu next)
    {
        int cpu = Cpu.Number;
        Vcpu? previous = s_resident![cpu];
        if (previous == next && next.DirtyCpu == cpu)
        {
            return;
        }

        // First visible to others, then flushed: whoever misses this CPU changed its tables before the flush.
        s_active.Add(cpu);
        s_resident[cpu] = next;
        next.DirtyCpu = cpu;
        next.Domain.DirtyCpus.Add(cpu);
        Local();
        if (previous != null && previous.Domain != next.Domain)
        {
            previous.Domain.DirtyCpus.Remove(cpu);
        }

        if (previous != null && previous != next)
        {
            previous.ClearDirtyCpu(cpu);
        }
    }

    /// <summary>
    /// Drops what this CPU's TLB holds of the vCPU that ran here last. The CPU must already use the hypervisor's own root table.
    /// Needed before the tables of that vCPU are torn down; otherwise an idle CPU keeps them.
    /// </summary>
    public static void LeaveVcpu()
    {
        int cpu = Cpu.Number;
        Vcpu? previous = s_resident![cpu];
        if (previous == null)
        {
            return;
        }

        s_resident[cpu] = null;
        Local();
        previous.Domain.DirtyCpus.Remove(cpu);
        previous.ClearDirtyCpu(cpu);

        // With the hypervisor's root nothing of a guest can get into this TLB: no flush needs to wait for this CPU.
        s_active.Remove(cpu);
    }

    /// <summary>Flushes this CPU's whole TLB, global entries and cached page-table pointers included.</summary>
    public static void Local()
    {
        ulong time = TlbClock.Tick();
        if (!TryFlushGlobal())
        {
            Cpu.WriteCr3(Cpu.ReadCr3());
        }

        TlbClock.Flushed(Cpu.Number, time);
    }

    /// <summary>Loads another root table on this CPU and flushes its whole TLB.</summary>
    internal static void LocalWithRoot(ulong cr3)
    {
        ulong time = TlbClock.Tick();
        Cpu.WriteCr3(cr3);
        _ = TryFlushGlobal();
        TlbClock.Flushed(Cpu.Number, time);
    }

    /// <summary>Flushes everything by way of the global-page switch; false when it is off, so that loading CR3 suffices.</summary>
    private static bool TryFlushGlobal()
    {
        ulong cr4 = Cpu.ReadCr4();
        if ((cr4 & Cr4GlobalPages) == 0)
        {
            return false;
        }

        Cpu.WriteCr4(cr4 & ~Cr4GlobalPages);
        Cpu.WriteCr4(cr4);
        return true;
    }

    /// <summary>Flushes the translation of one linear address on this CPU; an address that is no guest's is ignored.</summary>
    public static void LocalPage(ulong linear)
    {
        if (AddressSpace.IsGuestAddress(linear))
        {
            Cpu.InvalidatePage(linear);
        }
    }

    /// <summary>Flushes every CPU that may hold translations of a domain.</summary>
    public static void All(Domain domain) => Cpus(domain.DirtyCpus.Snapshot());

    /// <summary>Flushes one linear address on every CPU that may hold translations of a domain.</summary>
    public static void AllPage(Domain domain, ulong linear) => CpusPage(domain.DirtyCpus.Snapshot(), linear);

    /// <summary>Flushes the TLBs of a set of CPUs.</summary>
    public static void Cpus(CpuSet cpus)
    {
        int own = Cpu.Number;
        if (cpus.Contains(own))
        {
            cpus.Remove(own);
            Local();
        }

        Remote(cpus);
    }

    /// <summary>Flushes one linear address on a set of CPUs; other CPUs flush everything.</summary>
    public static void CpusPage(CpuSet cpus, ulong linear)
    {
        int own = Cpu.Number;
        if (cpus.Contains(own))
        {
            cpus.Remove(own);
            LocalPage(linear);
        }

        Remote(cpus);
    }

    /// <summary>Flushes what is needed before a frame of a domain, stamped with the end of its last use, is used as another type.</summary>
    internal static void BeforeTypeChange(Domain owner, ref FrameInfo info) =>
        Stale(owner.DirtyCpus.Snapshot(), TlbClock.StampOf(ref info));

    /// <summary>Flushes what is needed before frames whose last references went before a time may have another owner.</summary>
    internal static void BeforeOwnerChange(ulong since) => Stale(s_active.Snapshot(), since);

    private static void Stale(CpuSet candidates, ulong since)
    {
        CpuSet stale = default;
        while (!candidates.IsEmpty)
        {
            int cpu = candidates.RemoveFirst();
            if (TlbClock.IsStale(cpu, since))
            {
                stale.Add(cpu);
            }
        }

        if (!stale.IsEmpty)
        {
            Cpus(stale);
        }
    }

    private static void Remote(CpuSet cpus)
    {
        if (cpus.IsEmpty || s_remote == null)
        {
            return;
        }

        ulong time = TlbClock.Tick();
        s_remote.Flush(in cpus);
        while (!cpus.IsEmpty)
        {
            TlbClock.Flushed(cpus.RemoveFirst(), time);
        }
    }
}
