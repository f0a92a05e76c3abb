namespace Blanket.Backends;

/// <summary>What the network backend offers at most.</summary>
public static class NetLimits
{
    /// <summary>multi-queue-max-queues, if the guest has as many vCPUs.</summary>
    public const int MaximumQueues = 4;

    /// <summary>Packets of a queue that are on their way at the same time.</summary>
    internal const int Packets = 256;

    /// <summary>Packets that wait for a guest's receive buffers.</summary>
    internal const int ReceiveBacklog = 128;

    /// <summary>Nanoseconds that a packet waits for receive buffers at most.</summary>
    internal const ulong ReceivePatience = 1_000_000_000;

    /// <summary>Nanoseconds after which the ring of a frontend that does not notify (no feature-rx-notify) is looked at again.</summary>
    internal const ulong ReceivePollInterval = 10_000_000;

    /// <summary>Slots of a packet that are tolerated; it is answered with an error if it has more than <see cref="Abi.Xen.Io.Netif.MinimumSlots"/>.</summary>
    internal const int ToleratedSlots = 20;

    /// <summary>Bytes of a page that a slot of a ring refers to.</summary>
    internal const int SlotSize = 4096;
}
