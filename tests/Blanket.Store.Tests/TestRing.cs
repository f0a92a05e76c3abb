using System;
using System.Buffers.Binary;
using Blanket.Abi;

namespace Blanket.Store.Tests;

/// <summary>An interface page in memory.</summary>
internal sealed class TestRing : StoreRing
{
    public byte[] Page { get; } = new byte[4096];

    public int Notified { get; set; }

    public bool Closed { get; private set; }

    /// <summary>Called before each access, to play a domain that changes the page meanwhile.</summary>
    public Action? BeforeAccess { get; set; }

    public uint this[int offset]
    {
        get => BinaryPrimitives.ReadUInt32LittleEndian(Page.AsSpan(offset));
        set => BinaryPrimitives.WriteUInt32LittleEndian(Page.AsSpan(offset), value);
    }

    public override uint ReadWord(int offset)
    {
        Access(offset, 4);
        return this[offset];
    }

    public override void WriteWord(int offset, uint value)
    {
        Access(offset, 4);
        Assert.NotEqual(XenStoreWire.RingSize, offset);
        this[offset] = value;
    }

    public override void ReadBytes(int offset, Span<byte> destination)
    {
        Access(offset, destination.Length);
        Assert.True(offset + destination.Length <= XenStoreWire.ResponseRing);
        Page.AsSpan(offset, destination.Length).CopyTo(destination);
    }

    public override void WriteBytes(int offset, ReadOnlySpan<byte> source)
    {
        Access(offset, source.Length);
        Assert.InRange(offset, XenStoreWire.ResponseRing, XenStoreWire.RequestConsumer);
        Assert.True(offset + source.Length <= XenStoreWire.RequestConsumer);
        source.CopyTo(Page.AsSpan(offset));
    }

    public override void Notify() => Notified++;

    public override void Close()
    {
        Assert.False(Closed);
        Closed = true;
    }

    private void Access(int offset, int length)
    {
        Assert.False(Closed);
        Assert.InRange(offset, 0, 4096 - length);
        BeforeAccess?.Invoke();
    }
}
