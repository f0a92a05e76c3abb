namespace Blanket.Drivers.Virtio.Block;

/// <summary>Numbers of the block device (virtio 1.2, 5.2).</summary>
internal static class BlockWire
{
    // Feature bits (5.2.3).
    public const ulong SizeMaximum = 1UL << 1;
    public const ulong SegmentMaximum = 1UL << 2;
    public const ulong ReadOnly = 1UL << 5;
    public const ulong BlockSize = 1UL << 6;
    public const ulong Flush = 1UL << 9;
    public const ulong Topology = 1UL << 10;
    public const ulong MultiQueue = 1UL << 12;
    public const ulong Discard = 1UL << 13;
    public const ulong WriteZeroes = 1UL << 14;

    // Offsets in struct virtio_blk_config (5.2.4).
    public const uint ConfigCapacity = 0;
    public const uint ConfigSizeMaximum = 8;
    public const uint ConfigSegmentMaximum = 12;
    public const uint ConfigBlockSize = 20;
    public const uint ConfigPhysicalExponent = 24;
    public const uint ConfigQueues = 34;
    public const uint ConfigMaximumDiscardSectors = 36;
    public const uint ConfigMaximumDiscardSegments = 40;
    public const uint ConfigDiscardAlignment = 44;
    public const uint ConfigMaximumWriteZeroesSectors = 48;
    public const uint ConfigMaximumWriteZeroesSegments = 52;
    public const uint ConfigWriteZeroesMayUnmap = 56;

    // Request types (5.2.6).
    public const uint TypeIn = 0;
    public const uint TypeOut = 1;
    public const uint TypeFlush = 4;
    public const uint TypeGetId = 8;
    public const uint TypeDiscard = 11;
    public const uint TypeWriteZeroes = 13;

    /// <summary>Flag of a discard or write zeroes segment: the device may deallocate.</summary>
    public const uint FlagUnmap = 1;

    /// <summary>Bytes that GET_ID writes.</summary>
    public const int IdLength = 20;

    // Status byte (5.2.6).
    public const byte StatusOk = 0;
    public const byte StatusIoError = 1;
    public const byte StatusUnsupported = 2;

    /// <summary>What the status byte holds until the device writes it.</summary>
    public const byte StatusUnwritten = 0xff;
}
