using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Finds out what a kernel is and where it wants to be: notes, then the legacy section, then checks.</summary>
public static class KernelReader
{
    /// <summary>Reads and checks a kernel's parameters. Nothing of it is loaded.</summary>
    public static BuildStatus Read(in ElfImage image, out KernelParameters parameters)
    {
        parameters = KernelParameters.Create();
        BuildStatus status = XenNotes.Read(image, ref parameters, out int notes);
        if (status != BuildStatus.Ok)
        {
            return status;
        }

        if (notes == 0 && !LegacyGuestSection.TryRead(image, ref parameters))
        {
            return BuildStatus.NotXenKernel;
        }

        if (!parameters.IsForLoader)
        {
            return BuildStatus.WrongLoader;
        }

        if (!parameters.IsForXen30)
        {
            return BuildStatus.WrongXenVersion;
        }

        return KernelFeatures.AreMet(parameters) ? PlaceKernel(image, ref parameters) : BuildStatus.RequiredFeature;
    }

    private static BuildStatus PlaceKernel(in ElfImage image, ref KernelParameters parameters)
    {
        BuildStatus status = FindExtent(image, out ulong low, out ulong high);
        if (status != BuildStatus.Ok)
        {
            return status;
        }

        if (parameters.PhysicalOffset != KernelParameters.Unset && parameters.VirtualBase == KernelParameters.Unset)
        {
            return BuildStatus.BadAddresses;
        }

        if (parameters.VirtualBase == KernelParameters.Unset)
        {
            parameters.VirtualBase = 0;
        }

        if (parameters.PhysicalOffset == KernelParameters.Unset)
        {
            parameters.PhysicalOffset = parameters.IsLegacy ? parameters.VirtualBase : 0;
        }

        if (parameters.Entry == KernelParameters.Unset)
        {
            parameters.Entry = image.Entry;
        }

        parameters.VirtualOffset = unchecked(parameters.VirtualBase - parameters.PhysicalOffset);
        parameters.KernelStart = unchecked(low + parameters.VirtualOffset);
        parameters.KernelEnd = unchecked(high + parameters.VirtualOffset);
        if (parameters.WantsSymbols)
        {
            parameters.KernelEnd = unchecked(parameters.KernelEnd + SymbolTable.SizeBehind(image, parameters.KernelEnd));
        }

        return CheckAddresses(parameters);
    }

    private static BuildStatus FindExtent(in ElfImage image, out ulong low, out ulong high)
    {
        low = ulong.MaxValue;
        high = 0;
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

            ulong end = unchecked(segment.PhysicalAddress + segment.MemorySize);
            if (end < segment.PhysicalAddress || segment.FileSize > segment.MemorySize
                || !image.TryGetBytes(segment.Offset, segment.FileSize, out _))
            {
                return BuildStatus.BrokenElf;
            }

            low = System.Math.Min(low, segment.PhysicalAddress);
            high = System.Math.Max(high, end);
        }

        return low < high ? BuildStatus.Ok : BuildStatus.NothingToLoad;
    }

    private static BuildStatus CheckAddresses(in KernelParameters parameters)
    {
        if (parameters.KernelStart >= parameters.KernelEnd
            || parameters.Entry < parameters.KernelStart
            || parameters.Entry > parameters.KernelEnd
            || parameters.VirtualBase > parameters.KernelStart
            || ((parameters.VirtualBase | parameters.KernelStart) & (Cpu.PageSize - 1)) != 0
            || !AddressSpace.IsGuestRange(parameters.VirtualBase, parameters.KernelEnd - parameters.VirtualBase)
            || (parameters.HypervisorStartLow != KernelParameters.Unset
                && parameters.HypervisorStartLow > AddressSpace.HypervisorStart))
        {
            return BuildStatus.BadAddresses;
        }

        if (parameters.HypercallPage != KernelParameters.Unset
            && (parameters.HypercallPage < parameters.KernelStart || parameters.HypercallPage >= parameters.KernelEnd))
        {
            return BuildStatus.BadHypercallPage;
        }

        return BuildStatus.Ok;
    }
}
