using System.Threading;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    /// <summary>
    /// Covers the page tables of this domain: entries of its validated tables, types of its page-table and descriptor
    /// frames, pins, and the roots and descriptor tables of its vCPUs.
    /// </summary>
    public Machine.SpinLock PageTableLock = new(LockClass.PageTables);

    private ulong _frameCount;
    private ulong _sharedFrameCount;
    private ulong _vmAssist;
    private CpuSetCells _dirtyCpus;

    /// <summary>The most frames that it may own at once (its reservation may not grow beyond).</summary>
    public ulong MaximumFrames;

    /// <summary>It is being built, and <see cref="FrameAllocator.ClaimedFrames"/> are for it.</summary>
    public bool HasClaim;

    /// <summary>Whether it may name other domains in memory hypercalls (a control domain).</summary>
    public bool MayManageMemory;

    /// <summary>Covers the pseudo-physical memory map (<see cref="MemoryMaps"/>).</summary>
    internal Machine.SpinLock MemoryMapLock = new(LockClass.DomainFrames);

    /// <summary>First frame of the memory map; 0 for none.</summary>
    internal ulong MemoryMapFrame;

    /// <summary>Entries of the memory map.</summary>
    internal uint MemoryMapEntries;

    /// <summary>How far <see cref="DomainTeardown"/> has come.</summary>
    internal TeardownProgress Teardown;

    /// <summary>Frame of its xenstore ring, on which the store holds a writable reference; 0 while the store does not serve it.</summary>
    public ulong StoreRingFrame;

    /// <summary>Frame of its struct shared_info; 0 while there is none.</summary>
    public ulong SharedInfoFrame;

    /// <summary>Frames of ordinary memory that it owns.</summary>
    public ulong FrameCount => Volatile.Read(ref _frameCount);

    /// <summary>Hypervisor frames shared with it (<see cref="SharedFrames"/>).</summary>
    public ulong SharedFrameCount => Volatile.Read(ref _sharedFrameCount);

    /// <summary>True when no frame names it as owner any more, so that its id may be used again.</summary>
    public bool OwnsNoFrames => FrameCount == 0 && SharedFrameCount == 0;

    /// <summary>VMASST_TYPE_* bits that it has enabled.</summary>
    public ulong VmAssist => Volatile.Read(ref _vmAssist);

    /// <summary>Whether it has enabled a VMASST_TYPE_*.</summary>
    public bool HasVmAssist(int type) => (VmAssist >> type & 1) != 0;

    /// <summary>CPUs whose TLB may hold translations of this domain.</summary>
    internal ref CpuSetCells DirtyCpus => ref _dirtyCpus;

    internal void SetVmAssist(int type, bool enabled)
    {
        if (enabled)
        {
            Interlocked.Or(ref _vmAssist, 1UL << type);
        }
        else
        {
            Interlocked.And(ref _vmAssist, ~(1UL << type));
        }
    }

    /// <summary>Counts frames that are about to become its own; false when that would exceed <see cref="MaximumFrames"/>.</summary>
    internal bool TryReserveFrames(ulong count)
    {
        ulong current = Volatile.Read(ref _frameCount);
        while (true)
        {
            if (current > MaximumFrames || count > MaximumFrames - current)
            {
                return false;
            }

            ulong seen = Interlocked.CompareExchange(ref _frameCount, current + count, current);
            if (seen == current)
            {
                return true;
            }

            current = seen;
        }
    }

    /// <summary>Takes frames off the count that are its own no more.</summary>
    internal void UncountFrames(ulong count)
    {
        ulong left = Interlocked.Add(ref _frameCount, unchecked(0UL - count));
        Check.That(left <= ulong.MaxValue - count);
    }

    internal void CountSharedFrame() => Interlocked.Increment(ref _sharedFrameCount);

    internal void UncountSharedFrame() => Check.That(Interlocked.Decrement(ref _sharedFrameCount) != ulong.MaxValue);
}
