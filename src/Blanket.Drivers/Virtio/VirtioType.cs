namespace Blanket.Drivers.Virtio;

/// <summary>Device types (virtio 1.2, 5).</summary>
internal static class VirtioType
{
    public const int Net = 1;
    public const int Block = 2;
    public const int Console = 3;
    public const int Entropy = 4;
}
