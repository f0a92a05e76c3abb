namespace Blanket.Drivers.Virtio;

/// <summary>Features of the transport and the rings (virtio 1.2, 6).</summary>
internal static class VirtioFeature
{
    /// <summary>Legacy devices only: any split of a request into descriptors (virtio 1.2, 6.3).</summary>
    public const ulong AnyLayout = 1UL << 27;
    public const ulong IndirectDescriptors = 1UL << 28;
    public const ulong EventIndex = 1UL << 29;
    public const ulong Version1 = 1UL << 32;

    /// <summary>The device's addresses are those of the platform: physical ones, as no IOMMU is switched on.</summary>
    public const ulong AccessPlatform = 1UL << 33;

    /// <summary>The device needs the platform's memory ordering: x86 orders loads and stores as the rings need.</summary>
    public const ulong OrderPlatform = 1UL << 36;

    /// <summary>What the rings of this driver can do, whatever the device.</summary>
    public const ulong Supported = AnyLayout | IndirectDescriptors | EventIndex | Version1 | AccessPlatform | OrderPlatform;
}
