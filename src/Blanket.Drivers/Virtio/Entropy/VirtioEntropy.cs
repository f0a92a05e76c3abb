using System;

namespace Blanket.Drivers.Virtio.Entropy;

/// <summary>A virtio entropy device, as its users see it.</summary>
internal sealed class VirtioEntropy(VirtioEntropyDevice device) : EntropySource
{
    /// <inheritdoc/>
    public override int TryTake(Span<byte> destination) => device.TryTake(destination);
}
