using System;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Kernel.Services;

/// <summary>A guest's xenstore page and event channel, as the store sees them. Holds a reference to the frame.</summary>
internal sealed class GuestStoreRing : StoreRing
{
    private readonly Domain _domain;
    private readonly ulong _address;
    private ServiceChannel _channel;

    private GuestStoreRing(Domain domain, ulong frame)
    {
        _domain = domain;
        _address = frame << Cpu.PageShift;
    }

    /// <summary>Takes the page and binds the port; in an arena of the domain. Null when one of them cannot be had.</summary>
    internal static GuestStoreRing? Create(Domain domain, ulong frame, uint port)
    {
        if (!FrameReference.TryGetWritable(domain, frame))
        {
            return null;
        }

        GuestStoreRing ring = new(domain, frame);
        if (ServiceChannels.TryBind(domain, port, new Listener(domain.Id), out ring._channel) != 0)
        {
            FrameReference.PutWritable(frame);
            return null;
        }

        domain.StoreRingFrame = frame;
        return ring;
    }

    /// <inheritdoc/>
    public override uint ReadWord(int offset) => PhysicalMemory.Read<uint>(_address + (uint)offset);

    /// <inheritdoc/>
    public override void WriteWord(int offset, uint value)
    {
        Cpu.Fence();
        PhysicalMemory.Write(_address + (uint)offset, value);
    }

    /// <inheritdoc/>
    public override void ReadBytes(int offset, Span<byte> destination) =>
        PhysicalMemory.Bytes(_address + (uint)offset, destination.Length).CopyTo(destination);

    /// <inheritdoc/>
    public override void WriteBytes(int offset, ReadOnlySpan<byte> source) =>
        source.CopyTo(PhysicalMemory.Bytes(_address + (uint)offset, source.Length));

    /// <inheritdoc/>
    public override void Notify() => _channel.Notify();

    /// <inheritdoc/>
    public override void Close()
    {
        _channel.Close();
        _domain.StoreRingFrame = 0;
        FrameReference.PutWritable(_address >> Cpu.PageShift);
    }

    private sealed class Listener(ushort domid) : ServiceChannelHandler
    {
        public override void Raised() => StoreService.RingNotified(domid);
    }
}
