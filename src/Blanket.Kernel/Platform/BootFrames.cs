using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// Frames for the hypervisor's own tables: from the boot memory map until the frame allocator takes over what is left of it.
/// Only the boot CPU uses the first half; the allocator's lock covers the second.
/// </summary>
internal static class BootFrames
{
    private static MemoryRanges s_free;
    private static bool s_allocatorIsReady;

    /// <summary>What the boot memory map still has.</summary>
    internal static ref MemoryRanges Free => ref s_free;

    /// <summary>From now on frames come from the frame allocator, which has been given what was free.</summary>
    internal static void HandOver()
    {
        s_allocatorIsReady = true;
        s_free.Clear();
    }

    /// <summary>Starts anew (host tests boot more than once).</summary>
    internal static void Reset(in MemoryRanges free)
    {
        s_allocatorIsReady = false;
        s_free = free;
    }

    /// <summary>A frame that the current direct map reaches, every 8 bytes of it set to a value.</summary>
    internal static bool TryTake(ulong fill, out ulong frame)
    {
        if (s_allocatorIsReady)
        {
            if (!FrameAllocator.TryAllocate(out frame))
            {
                return false;
            }
        }
        else
        {
            bool found = s_free.TryTake(Cpu.PageSize, Cpu.PageSize, PhysicalMemory.Limit, out ulong address);
            frame = address >> Cpu.PageShift;
            if (!found)
            {
                return false;
            }
        }

        Fill(frame, 1, fill);
        return true;
    }

    /// <summary>A zeroed frame for a page table.</summary>
    internal static bool TryTakeTable(out ulong frame) => TryTake(0, out frame);

    /// <summary>2 MiB in a row and aligned, zeroed; only before the allocator takes over.</summary>
    internal static bool TryTakeLarge(out ulong frame)
    {
        bool found = s_free.TryTake(PageFlags.LargeSize, PageFlags.LargeSize, PhysicalMemory.Limit, out ulong address);
        frame = address >> Cpu.PageShift;
        if (found)
        {
            Fill(frame, PageFlags.TableEntries, 0);
        }

        return found;
    }

    // Words, not bytes: under software emulation a byte-wise string instruction is many times slower.
    private static void Fill(ulong frame, int count, ulong value)
    {
        for (int i = 0; i < count; i++)
        {
            Span<ulong> words = PhysicalMemory.FrameAs<ulong>(frame + (uint)i);
            for (int word = 0; word < words.Length; word++)
            {
                words[word] = value;
            }
        }
    }
}
