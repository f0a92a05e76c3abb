using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Copies a kernel's segments into a domain.</summary>
internal static class KernelLoader
{
    /// <summary>Copies all segments, and the symbols if the kernel wants them. The pages are zeroed before.</summary>
    /// <returns><see cref="BuildStatus.Ok"/>, <see cref="BuildStatus.Unfinished"/>, or <see cref="BuildStatus.BrokenElf"/>.</returns>
    internal static BuildStatus Load(in ElfImage image, in KernelParameters kernel, in DomainPages pages, ref StepProgress steps)
    {
        // Segments that overlap could make the copy cost more than the kernel is long: allow twice its length, as Xen's loader does.
        ulong budget = 2 * (kernel.KernelEnd - kernel.KernelStart);
        ulong end = 0;
        for (int i = 0; i < image.SegmentCount; i++)
        {
            if (!image.TryGetSegment(i, out Elf64ProgramHeader segment))
            {
                return BuildStatus.BrokenElf;
            }

            if (!ElfImage.IsLoadable(segment))
            {
                continue;
            }

            if (segment.MemorySize > budget || !image.TryGetBytes(segment.Offset, segment.FileSize, out ReadOnlySpan<byte> bytes))
            {
                return BuildStatus.BrokenElf;
            }

            budget -= segment.MemorySize;
            ulong address = PhysicalAddress(kernel, segment.PhysicalAddress);
            if (!pages.TryWrite(address, bytes, ref steps))
            {
                return BuildStatus.Unfinished;
            }

            end = Math.Max(end, address + segment.MemorySize);
        }

        return !kernel.WantsSymbols || SymbolTable.TryLoad(image, pages, end, ref steps) ? BuildStatus.Ok : BuildStatus.Unfinished;
    }

    // The page number space starts at the virtual base; the kernel reader has checked that the segments lie behind it.
    private static ulong PhysicalAddress(in KernelParameters kernel, ulong elfAddress) =>
        unchecked(elfAddress + kernel.VirtualOffset - kernel.VirtualBase);
}
