namespace Blanket.Backends;

/// <summary>What the block backend offers at most.</summary>
public static class BlockLimits
{
    /// <summary>max-ring-page-order: rings of up to 4 pages, 128 requests.</summary>
    public const int MaximumRingOrder = 2;

    /// <summary>Pages of the largest ring.</summary>
    public const int MaximumRingPages = 1 << MaximumRingOrder;

    /// <summary>feature-max-indirect-segments: 256 KiB a request; Linux uses 32 of them.</summary>
    public const int MaximumIndirectSegments = 64;

    /// <summary>multi-queue-max-queues, if the device has as many queues.</summary>
    public const int MaximumQueues = 4;
}
