using System;
using System.Numerics;

namespace Blanket.Drivers.Virtio;

/// <summary>Sizes and offsets of a split virtqueue (virtio 1.2, 2.7).</summary>
internal struct VirtqueueLayout
{
    private const uint LegacyAlignment = 4096;
    private const uint UsedAlignment = 4;

    /// <summary>The device's number of the queue.</summary>
    public ushort Index;

    /// <summary>Entries of the ring, a power of two up to 32768.</summary>
    public ushort Size;

    /// <summary>Descriptors that are used, at most <see cref="Size"/>.</summary>
    public int Capacity;

    /// <summary>Descriptors of each request's indirect table; 0 for no tables.</summary>
    public int TableCapacity;

    /// <summary>VIRTIO_F_EVENT_IDX was negotiated.</summary>
    public bool HasEventIndex;

    /// <summary>The device reports lengths as the specification says; legacy ones may not (2.7.8.1).</summary>
    public bool HasTrueLengths;

    /// <summary>Offset of the available ring.</summary>
    public uint AvailableOffset;

    /// <summary>Offset of the used ring.</summary>
    public uint UsedOffset;

    /// <summary>Bytes of the three parts together.</summary>
    public uint RingBytes;

    /// <summary>Bytes of all indirect tables.</summary>
    public readonly uint TableBytes => (uint)Capacity * (uint)TableCapacity * 16;

    /// <summary>Lays a queue out.</summary>
    /// <param name="index">The device's number of the queue.</param>
    /// <param name="deviceSize">The most entries that the device allows; a legacy device's exact number. At least 1.</param>
    /// <param name="capacity">The most descriptors that the driver wants to use at once.</param>
    /// <param name="tableCapacity">The most buffers of a request; tables are used when the device knows them.</param>
    /// <param name="features">What was negotiated.</param>
    public static VirtqueueLayout Of(ushort index, ushort deviceSize, int capacity, int tableCapacity, ulong features)
    {
        bool isModern = (features & VirtioFeature.Version1) != 0;
        VirtqueueLayout layout = default;
        layout.Index = index;
        uint largest = 1u << BitOperations.Log2(Math.Min((uint)deviceSize, 32768u));
        uint wanted = (uint)capacity;
        layout.Size = (ushort)(isModern ? Math.Min(largest, wanted) : largest);
        layout.Capacity = Math.Min(layout.Size, capacity);
        layout.TableCapacity = (features & VirtioFeature.IndirectDescriptors) != 0 ? tableCapacity : 0;
        layout.HasEventIndex = (features & VirtioFeature.EventIndex) != 0;
        layout.HasTrueLengths = isModern;

        uint alignment = isModern ? UsedAlignment : LegacyAlignment;
        layout.AvailableOffset = layout.Size * 16u;
        layout.UsedOffset = (layout.AvailableOffset + 6 + layout.Size * 2u + (alignment - 1)) & ~(alignment - 1);
        layout.RingBytes = layout.UsedOffset + 6 + layout.Size * 8u;
        return layout;
    }
}
