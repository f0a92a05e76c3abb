namespace Blanket.Drivers.Virtio;

/// <summary>Bits of the device status field (virtio 1.2, 2.1).</summary>
internal static class VirtioStatus
{
    public const byte Acknowledge = 1;
    public const byte Driver = 2;
    public const byte DriverOk = 4;
    public const byte FeaturesOk = 8;
    public const byte NeedsReset = 64;
    public const byte Failed = 128;
}
