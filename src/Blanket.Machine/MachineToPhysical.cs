using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>
/// The machine-to-physical table: for every machine frame the guest frame number that its owner gave it. Guests read it at
/// <see cref="AddressSpace.MachineToPhysicalBase"/>; the hypervisor writes it through an alias that guests cannot reach.
/// </summary>
public static unsafe class MachineToPhysical
{
    /// <summary>INVALID_M2P_ENTRY: the frame has no guest frame number.</summary>
    public const ulong Invalid = ulong.MaxValue;

    /// <summary>Linear address of the writable alias; L4 slot 259, not accessible to guests.</summary>
    public const ulong WritableBase = 0xffff818000000000;

    private static ulong* s_table;
    private static ulong s_frames;

    /// <summary>First frame number that has no entry: at least <see cref="FrameTable.Limit"/>.</summary>
    public static ulong Limit => s_frames;

    /// <summary>First linear address above the table as guests see it (v_end of XENMEM_machphys_mapping).</summary>
    public static ulong GuestEnd => AddressSpace.MachineToPhysicalBase + s_frames * sizeof(ulong);

    /// <summary>Uses the table at a linear address; once at boot. Every entry must be <see cref="Invalid"/>.</summary>
    /// <param name="table">The writable alias.</param>
    /// <param name="frames">Entries.</param>
    public static void Initialize(nuint table, ulong frames)
    {
        s_table = (ulong*)table;
        s_frames = frames;
    }

    /// <summary>The entry of a frame; <see cref="Invalid"/> for a frame number without one.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static ulong Get(ulong frame) => frame < s_frames ? s_table[frame] : Invalid;

    /// <summary>Sets the entry of a frame of memory; a number that is none abandons the handler.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Set(ulong frame, ulong guestFrame)
    {
        // Holes between memory have shared, read-only entries.
        Check.That(frame < s_frames && FrameTable.Of(frame).State != FrameState.Reserved);
        s_table[frame] = guestFrame;
    }

#if !METAL
    /// <summary>A table of invalid entries for host tests.</summary>
    public static void Simulate(int frames)
    {
        System.Runtime.InteropServices.NativeMemory.Free(s_table);
        s_table = (ulong*)System.Runtime.InteropServices.NativeMemory.Alloc((nuint)frames, sizeof(ulong));
        new System.Span<ulong>(s_table, frames).Fill(Invalid);
        s_frames = (ulong)frames;
    }
#endif
}
