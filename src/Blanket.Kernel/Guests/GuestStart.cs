using Blanket.Abi;
using Blanket.Core.Building;
using Blanket.Core.Bundles;

namespace Blanket.Kernel.Guests;

/// <summary>How far the start of a guest has come.</summary>
internal struct GuestStart
{
    /// <summary>What is next.</summary>
    internal StartStep Step;

    /// <summary>Where its parts are in its bundle.</summary>
    internal BootBundleBlob Kernel;
    internal BootBundleBlob Ramdisk;
    internal BootBundleBlob CommandLine;

    /// <summary>Of the part that is being compared.</summary>
    internal BlobChecksum Checksum;

    /// <summary>Of its domain's memory, in <see cref="StartStep.Memory"/>.</summary>
    internal BuildProgress Build;

    /// <summary>What was built.</summary>
    internal BuildResult Built;

    /// <summary>Ends of its event channels to xenstore and the console.</summary>
    internal uint StorePort;
    internal uint ConsolePort;
}
