using System.Collections.Generic;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A buffer of a request as the device sees it.</summary>
public readonly record struct FakeBuffer(ulong Address, uint Length, bool IsWritable);

/// <summary>A request as the device sees it.</summary>
public sealed record FakeChain(ushort Head, List<FakeBuffer> Buffers, bool IsIndirect)
{
    public byte[] ReadAll()
    {
        List<byte> bytes = [];
        foreach (FakeBuffer buffer in Buffers)
        {
            if (!buffer.IsWritable)
            {
                bytes.AddRange(PhysicalMemory.Bytes(buffer.Address, (int)buffer.Length).ToArray());
            }
        }

        return [.. bytes];
    }

    /// <summary>Writes to the writable buffers in order; returns the bytes written.</summary>
    public uint Write(System.ReadOnlySpan<byte> bytes)
    {
        int done = 0;
        foreach (FakeBuffer buffer in Buffers)
        {
            if (buffer.IsWritable && done < bytes.Length)
            {
                int part = System.Math.Min((int)buffer.Length, bytes.Length - done);
                bytes.Slice(done, part).CopyTo(PhysicalMemory.Bytes(buffer.Address, part));
                done += part;
            }
        }

        return (uint)done;
    }
}

/// <summary>The device's side of a split virtqueue (virtio 1.2, 2.7), with the checks that a strict device makes.</summary>
public sealed class FakeVirtioQueue
{
    public ushort MaximumSize { get; init; } = 256;

    public ushort Size { get; set; }

    public ulong Descriptors { get; set; }

    public ulong Available { get; set; }

    public ulong Used { get; set; }

    public ushort Vector { get; set; } = 0xffff;

    public bool IsEnabled { get; set; }

    public bool HasEventIndex { get; set; }

    public bool HasIndirect { get; set; }

    public ushort LastAvailable { get; private set; }

    public ushort UsedIndex { get; private set; }

    public int Notifications { get; set; }

    /// <summary>Requests that were taken and not given back.</summary>
    public Dictionary<ushort, FakeChain> Taken { get; } = [];

    public ushort AvailableIndex => PhysicalMemory.Read<ushort>(Available + 2);

    public void Reset()
    {
        Size = MaximumSize;
        Descriptors = Available = Used = 0;
        Vector = 0xffff;
        IsEnabled = false;
        LastAvailable = 0;
        UsedIndex = 0;
        Taken.Clear();
    }

    public bool TryPop(out FakeChain? chain)
    {
        chain = null;
        if (!IsEnabled || AvailableIndex == LastAvailable)
        {
            return false;
        }

        ushort waiting = (ushort)(AvailableIndex - LastAvailable);
        Assert.True(waiting <= Size, "the available index is ahead of the ring");
        ushort head = PhysicalMemory.Read<ushort>(Available + 4 + (uint)(LastAvailable % Size) * 2);
        LastAvailable++;
        chain = Parse(head);
        Assert.True(Taken.TryAdd(head, chain), "the driver reused an id that is in flight");
        if (HasEventIndex)
        {
            // The device wants to hear of the next one.
            PhysicalMemory.Write(Used + 4 + Size * 8u, LastAvailable);
            Thread.MemoryBarrier();
        }

        return true;
    }

    /// <summary>Asks to be notified not before an index is passed.</summary>
    public void SetAvailableEvent(ushort index) => PhysicalMemory.Write(Used + 4 + Size * 8u, index);

    public void SetNoNotify(bool value) => PhysicalMemory.Write(Used, value ? (ushort)1 : (ushort)0);

    /// <summary>Gives a request back; tells whether the driver wants an interrupt.</summary>
    public bool Push(FakeChain chain, uint length)
    {
        Assert.True(Taken.Remove(chain.Head));
        return PushRaw(chain.Head, length);
    }

    /// <summary>Writes a used element without any check, as a hostile device does.</summary>
    public bool PushRaw(uint id, uint length)
    {
        PushElement(id, length, 0);
        return Expose(1);
    }

    /// <summary>Writes a used element some places ahead, without showing it.</summary>
    public void PushElement(uint id, uint length, int ahead)
    {
        ulong element = Used + 4 + (uint)((ushort)(UsedIndex + ahead) % Size) * 8;
        PhysicalMemory.Write(element, id);
        PhysicalMemory.Write(element + 4, length);
    }

    /// <summary>Moves the used index; tells whether the driver wants an interrupt.</summary>
    public bool Expose(ushort count)
    {
        ushort old = UsedIndex;
        UsedIndex += count;
        PhysicalMemory.Write(Used + 2, UsedIndex);
        Thread.MemoryBarrier();
        if (!HasEventIndex)
        {
            return (PhysicalMemory.Read<ushort>(Available) & 1) == 0;
        }

        ushort wanted = PhysicalMemory.Read<ushort>(Available + 4 + Size * 2u);
        return (ushort)(UsedIndex - wanted - 1) < (ushort)(UsedIndex - old);
    }

    private FakeChain Parse(ushort head)
    {
        List<FakeBuffer> buffers = [];
        Descriptor first = Read(Descriptors, head);
        bool isIndirect = (first.Flags & 4) != 0;
        ulong table = Descriptors;
        uint count = Size;
        Descriptor current = first;
        if (isIndirect)
        {
            Assert.True(HasIndirect, "indirect descriptors were not negotiated");
            Assert.Equal(4, first.Flags);
            Assert.Equal(0u, first.Length % 16);
            table = first.Address;
            count = first.Length / 16;
            current = Read(table, 0);
        }

        for (int i = 0; ; i++)
        {
            Assert.True(i < count, "a chain loops");
            Assert.True(current.Length > 0);
            buffers.Add(new FakeBuffer(current.Address, current.Length, (current.Flags & 2) != 0));
            Assert.Equal(0, current.Flags & 4);
            if ((current.Flags & 1) == 0)
            {
                break;
            }

            Assert.True(current.Next < count);
            current = Read(table, current.Next);
        }

        int firstWritable = buffers.FindIndex(b => b.IsWritable);
        Assert.True(firstWritable < 0 || buffers.FindIndex(firstWritable, b => !b.IsWritable) < 0, "readable buffers come first");
        return new FakeChain(head, buffers, isIndirect);
    }

    private static Descriptor Read(ulong table, uint index)
    {
        ulong at = table + index * 16;
        return new Descriptor(
            PhysicalMemory.Read<ulong>(at), PhysicalMemory.Read<uint>(at + 8),
            PhysicalMemory.Read<ushort>(at + 12), PhysicalMemory.Read<ushort>(at + 14));
    }

    private readonly record struct Descriptor(ulong Address, uint Length, ushort Flags, ushort Next);
}
