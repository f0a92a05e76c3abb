using System.Threading;
using Blanket.Core.Memory;

namespace Blanket.Core.Domains;

public sealed partial class Vcpu
{
    /// <summary>Frame of the guest kernel's root table, with a reference and a type count; 0 for none.</summary>
    public ulong KernelRoot { get; internal set; }

    /// <summary>Frame of the guest user's root table, with a reference and a type count; 0 for none.</summary>
    public ulong UserRoot { get; internal set; }

    /// <summary>Entries of its GDT, at most <see cref="GuestDescriptorTable.MaximumGdtEntries"/>.</summary>
    public uint GdtEntries { get; internal set; }

    /// <summary>Frames of its GDT, each with a reference and a type count; 0 for none.</summary>
    public ulong[] GdtFrames { get; } = new ulong[GuestDescriptorTable.MaximumGdtFrames];

    /// <summary>Linear address of its LDT.</summary>
    public ulong LdtBase { get; internal set; }

    /// <summary>Entries of its LDT, at most <see cref="LocalDescriptorTable.MaximumEntries"/>.</summary>
    public uint LdtEntries { get; internal set; }

    /// <summary>Frames of its LDT that have been mapped on demand, each with a reference and a type count; 0 for none.</summary>
    public ulong[] LdtFrames { get; } = new ulong[LocalDescriptorTable.MaximumFrames];

    /// <summary>The CPU whose TLB may hold translations of this vCPU; -1 for none.</summary>
    public int DirtyCpu
    {
        get => Volatile.Read(ref _dirtyCpu);
        internal set => Volatile.Write(ref _dirtyCpu, value);
    }

    private int _dirtyCpu = -1;

    /// <summary>A CPU has dropped its translations of this vCPU, which may be on another one by now.</summary>
    internal void ClearDirtyCpu(int cpu) => Interlocked.CompareExchange(ref _dirtyCpu, -1, cpu);

    /// <summary>
    /// A page table whose type count this vCPU still has to drop (<see cref="PendingTable"/>), with a reference; 0 for none.
    /// </summary>
    internal ulong PendingTableFrame;

    /// <summary>The pending table's type count is held by its partial flag: only what is partial has to be finished.</summary>
    internal bool PendingTableIsPartial;
}
