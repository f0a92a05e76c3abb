namespace Blanket.Backends;

/// <summary>What the switch uses of one of L0's interfaces at most, for each queue.</summary>
internal static class NicLimits
{
    /// <summary>Receive buffers with the device.</summary>
    internal const int Buffers = 256;

    /// <summary>Bytes of receive buffers with the device: large ones, for a device that cannot split packets, are fewer.</summary>
    internal const int BufferBytes = 2 * 1024 * 1024;

    /// <summary>One spare buffer for so many with the device, so that packets can wait for a guest without starving it.</summary>
    internal const int BuffersPerSpare = 4;

    /// <summary>Packets with the device.</summary>
    internal const int Sending = 256;

    /// <summary>Packets that wait for room in the device, of all ports.</summary>
    internal const int Waiting = 128;

    /// <summary>Pieces of a packet: its beginning, and as many as a packet of a guest or a segment can have.</summary>
    internal const int Segments = 32;
}
