using Blanket.Abi;
using Blanket.Core.Bundles;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>Where a boot bundle is in memory: from the boot loader, or in frames of its own when an operator sent it.</summary>
internal struct BundleMemory
{
    private ulong _address;
    private int _length;

    // Frames that are given back by Free; none when the boot loader put it there.
    private ulong _frames;

    /// <summary>A bundle that the boot loader brought.</summary>
    internal BundleMemory(ulong address, int length)
    {
        _address = address;
        _length = length;
        _frames = 0;
    }

    /// <summary>Bytes; 0 when there is none.</summary>
    internal readonly int Length => _length;

    /// <summary>Its bytes.</summary>
    internal readonly System.Span<byte> Bytes => PhysicalMemory.Bytes(_address, _length);

    /// <summary>The bytes of one of its blobs.</summary>
    internal readonly System.ReadOnlySpan<byte> Content(in BootBundleBlob blob) => Bytes.Slice((int)blob.Offset, (int)blob.Length);

    /// <summary>Opens it; it is checked at every use, though it is nobody's to change.</summary>
    internal readonly BundleStatus Open(out BundleReader reader) => BundleReader.Open(Bytes, out reader);

    /// <summary>Takes frames in a row for a bundle of a size.</summary>
    /// <returns>False when there are none, or guests would have no room left.</returns>
    internal static bool TryAllocate(int length, out BundleMemory memory)
    {
        memory = default;
        ulong frames = ((ulong)length + Cpu.PageSize - 1) >> Cpu.PageShift;
        int order = 0;
        while (1UL << order < frames)
        {
            order++;
        }

        if (FrameAllocator.FreeFrames < frames + FrameAllocator.Reserve + FrameAllocator.ClaimedFrames || !FrameAllocator.TryAllocate(order, ulong.MaxValue, out ulong first))
        {
            return false;
        }

        FreeRange(first + frames, (1UL << order) - frames);
        memory._address = first << Cpu.PageShift;
        memory._length = length;
        memory._frames = frames;
        return true;
    }

    /// <summary>Gives its frames back, if it has any of its own, and is empty.</summary>
    internal void Free()
    {
        FreeRange(_address >> Cpu.PageShift, _frames);
        this = default;
    }

    // Blocks of any size, aligned to it.
    private static void FreeRange(ulong first, ulong count)
    {
        while (count != 0)
        {
            int order = 0;
            while (order < FrameAllocator.MaximumOrder && (first & (1UL << order)) == 0 && 2UL << order <= count)
            {
                order++;
            }

            FrameAllocator.Free(first, order);
            first += 1UL << order;
            count -= 1UL << order;
        }
    }
}
