using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Machine;

/// <summary>What a frame is used for.</summary>
public enum FrameState : byte
{
    /// <summary>Not memory, or not ours: firmware, devices, holes.</summary>
    Reserved,

    /// <summary>In the allocator's free lists.</summary>
    Free,

    /// <summary>The hypervisor's own.</summary>
    Hypervisor,

    /// <summary>A domain's (owner in <see cref="FrameInfo.Owner"/>); reference and type counts apply.</summary>
    Domain,
}

/// <summary>
/// The record of one machine frame, 32 bytes. While the frame is free the links are the allocator's; while it is a domain's
/// they are the domain's frame list, under the domain's page lock.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct FrameInfo
{
    /// <summary>No frame: end of a list.</summary>
    public const uint None = uint.MaxValue;

    /// <summary>Reference count and flags (Blanket.Core/Memory). Changed by compare-and-exchange.</summary>
    public ulong Count;

    /// <summary>Type, type count and validation flags (Blanket.Core/Memory). Changed by compare-and-exchange.</summary>
    public ulong Type;

    /// <summary>Next frame of the list that this one is in.</summary>
    public uint Next;

    /// <summary>Previous frame of that list.</summary>
    public uint Previous;

    /// <summary>Owning domain while <see cref="State"/> is Domain.</summary>
    public ushort Owner;

    /// <summary>What the frame is used for.</summary>
    public FrameState State;

    /// <summary>log2 of the size in frames of the free block that starts here.</summary>
    public byte Order;

    /// <summary>Entries of a page-table frame that are validated while a validation is suspended half-way.</summary>
    public ushort ValidatedEntries;

    /// <summary>Flags of such a suspended validation.</summary>
    public ushort PartialFlags;
}

/// <summary>The records of all frames, by frame number.</summary>
public static unsafe class FrameTable
{
    private static FrameInfo* s_table;
    private static ulong s_frames;

    /// <summary>First frame number that has no record.</summary>
    public static ulong Limit => s_frames;

    /// <summary>Uses zeroed memory at <paramref name="table"/> (32 bytes a frame) for the records.</summary>
    public static void Initialize(nuint table, ulong frames)
    {
        s_table = (FrameInfo*)table;
        s_frames = frames;
    }

    /// <summary>Whether there is a record for this frame number.</summary>
    public static bool IsValid(ulong frame) => frame < s_frames;

    /// <summary>The record of a frame; a number without one abandons the handler.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref FrameInfo Of(ulong frame)
    {
        if (frame >= s_frames)
        {
            Check.Fail();
        }

        return ref s_table[frame];
    }

#if !METAL
    /// <summary>Simulated machine for host tests: memory, table and allocator, with every frame from 1 on free.</summary>
    public static void Simulate(int frames)
    {
        PhysicalMemory.Simulate(frames);
        NativeMemory.Free(s_table);
        s_table = (FrameInfo*)NativeMemory.AllocZeroed((nuint)frames, (nuint)sizeof(FrameInfo));
        s_frames = (ulong)frames;
        FrameAllocator.Initialize();
        FrameAllocator.AddRange(1, (ulong)frames - 1);
    }
#endif
}
