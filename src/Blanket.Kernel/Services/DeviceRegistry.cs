using Blanket.Drivers;

namespace Blanket.Kernel.Services;

/// <summary>The devices of L0 that the drivers found.</summary>
internal static class DeviceRegistry
{
    /// <summary>The devices; empty until the drivers have looked.</summary>
    internal static DeviceCollection Found { get; private set; } = null!;

    /// <summary>An empty collection; once at boot, in an allocation scope.</summary>
    internal static void Initialize() => Found = new DeviceCollection();
}
