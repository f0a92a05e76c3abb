using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>The image at <see cref="AddressSpace.ImageBase"/>: code can be executed, constants only read, data not executed.</summary>
internal static class ImageMapping
{
    /// <summary>Maps the image's parts with 4 KiB pages.</summary>
    /// <returns>False when memory for the tables is out.</returns>
    internal static bool TryBuild(ulong root) =>
        TryMap(root, ImageLayout.Start, ImageLayout.TextEnd, PageFlags.Code)
        && TryMap(root, ImageLayout.TextEnd, ImageLayout.ReadOnlyEnd, PageFlags.Constants)
        && TryMap(root, ImageLayout.ReadOnlyEnd, ImageLayout.End, PageFlags.Data);

    private static bool TryMap(ulong root, ulong start, ulong end, ulong flags) =>
        PageTables.TryMap(root, AddressSpace.ImageBase + start, new PhysicalRange(start, end), 1, flags);
}
