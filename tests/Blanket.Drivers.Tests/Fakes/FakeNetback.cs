using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A packet as it came out of a transmit ring.</summary>
internal sealed record NetbackPacket(NetifTransmitRequest[] Slots, NetifExtraInfo[] Extras, byte[] Bytes)
{
    public NetifTransmitFlags Flags => Slots[0].Flags;
}

/// <summary>Netback for one pair of rings, with its own code. Misbehaves on demand.</summary>
internal sealed class FakeNetback
{
    public const ushort Domain = 5;
    private const int TransmitEntries = 256;
    private const int ReceiveEntries = 256;

    private readonly FakeGrants _grants;
    private readonly uint _transmitReference;
    private readonly uint _receiveReference;
    private readonly ulong _transmit;
    private readonly ulong _receive;
    private uint _sendTaken;
    private uint _sendAnswered;
    private uint _receiveTaken;

    public FakeNetback(FakeGrants grants, uint transmitReference, uint receiveReference)
    {
        _grants = grants;
        _transmitReference = transmitReference;
        _receiveReference = receiveReference;
        _transmit = grants.Map(transmitReference, Domain, true) << 12;
        _receive = grants.Map(receiveReference, Domain, true) << 12;
    }

    /// <summary>Buffers that the frontend offers.</summary>
    public int Buffers => (int)unchecked(Read(_receive, 0) - _receiveTaken);

    public bool WantsSendEvent => unchecked(_sendAnswered - Read(_transmit, 12)) < 0x8000_0000;

    /// <summary>Takes a packet from the transmit ring; checks what netback checks, and closes the test where netback closes the interface.</summary>
    public NetbackPacket? Take()
    {
        uint produced = Read(_transmit, 0);
        Assert.True(unchecked(produced - _sendAnswered) <= TransmitEntries);
        if (_sendTaken == produced)
        {
            return null;
        }

        List<NetifTransmitRequest> slots = [Next<NetifTransmitRequest>()];
        List<NetifExtraInfo> extras = [];
        if ((slots[0].Flags & NetifTransmitFlags.ExtraInfo) != 0)
        {
            do
            {
                Assert.NotEqual(produced, _sendTaken);
                extras.Add(Next<NetifExtraInfo>());
            }
            while ((extras[^1].Flags & 1) != 0);
        }

        while ((slots[^1].Flags & NetifTransmitFlags.MoreData) != 0)
        {
            Assert.NotEqual(produced, _sendTaken);
            slots.Add(Next<NetifTransmitRequest>());
        }

        Assert.InRange(slots.Count, 1, 18);
        int rest = slots.Skip(1).Sum(s => s.Size);
        List<byte> bytes = [];
        for (int i = 0; i < slots.Count; i++)
        {
            int size = i == 0 ? slots[0].Size - rest : slots[i].Size;
            Assert.InRange(size, 1, 4096 - slots[i].Offset);
            ulong frame = _grants.Map(slots[i].Reference, Domain, false);
            bytes.AddRange(PhysicalMemory.Bytes((frame << 12) + slots[i].Offset, size).ToArray());
        }

        Assert.Equal(slots[0].Size, bytes.Count);
        Write(_transmit, 4, _sendTaken + 1);
        return new NetbackPacket([.. slots], [.. extras], [.. bytes]);
    }

    /// <summary>Answers a packet; whether the frontend wants to be notified.</summary>
    public bool Answer(NetbackPacket packet, short status = 0)
    {
        foreach (NetifTransmitRequest slot in packet.Slots)
        {
            _grants.Unmap(slot.Reference);
        }

        bool mustNotify = false;
        for (int i = 0; i < packet.Slots.Length; i++)
        {
            mustNotify |= AnswerRaw(packet.Slots[i].Id, status);
            for (int extra = 0; i == 0 && extra < packet.Extras.Length; extra++)
            {
                mustNotify |= AnswerRaw(0, 1);
            }
        }

        return mustNotify;
    }

    public bool AnswerRaw(ushort id, short status)
    {
        PhysicalMemory.At<NetifTransmitResponse>(_transmit + 64 + _sendAnswered % TransmitEntries * 12) = new() { Id = id, Status = status };
        return ExposeSent(1);
    }

    public bool ExposeSent(uint count)
    {
        uint old = _sendAnswered;
        _sendAnswered = unchecked(_sendAnswered + count);
        Write(_transmit, 8, _sendAnswered);
        return unchecked(_sendAnswered - Read(_transmit, 12)) < unchecked(_sendAnswered - old);
    }

    /// <summary>Copies a packet into the frontend's pages as Linux does; false when it offers too few.</summary>
    public bool Inject(byte[] packet, NetifReceiveFlags flags = 0, NetifExtraInfo[]? extras = null, int headroom = 0, int fill = 4096)
    {
        extras ??= [];
        int data = (packet.Length + fill - headroom - 1) / (fill - headroom);
        if (Buffers < data + extras.Length)
        {
            return false;
        }

        int done = 0;
        for (int i = 0; i < data; i++)
        {
            int part = Math.Min(packet.Length - done, fill - headroom);
            Place(packet.AsSpan(done, part), headroom, (i == 0 ? flags | (extras.Length != 0 ? NetifReceiveFlags.ExtraInfo : 0) : 0)
                | (done + part < packet.Length ? NetifReceiveFlags.MoreData : 0));
            done += part;
            for (int extra = 0; i == 0 && extra < extras.Length; extra++)
            {
                NetifExtraInfo info = extras[extra];
                info.Flags |= (byte)(extra + 1 < extras.Length ? 1 : 0);
                PlaceExtra(info);
            }
        }

        return Expose();
    }

    /// <summary>Copies into the next page; the frontend sees it after <see cref="Expose"/>.</summary>
    public void Place(ReadOnlySpan<byte> bytes, int offset, NetifReceiveFlags flags)
    {
        NetifReceiveRequest request = TakeBuffer();
        ulong frame = _grants.Map(request.Reference, Domain, true);
        bytes.CopyTo(PhysicalMemory.Bytes((frame << 12) + (ulong)offset, bytes.Length));
        _grants.Unmap(request.Reference);
        PlaceRaw(new NetifReceiveResponse { Id = request.Id, Offset = (ushort)offset, Flags = flags, Status = (short)bytes.Length });
    }

    public void PlaceExtra(NetifExtraInfo extra)
    {
        TakeBuffer();
        PlaceRaw(MemoryMarshal.Cast<NetifExtraInfo, NetifReceiveResponse>(new ReadOnlySpan<NetifExtraInfo>(in extra))[0]);
    }

    public NetifReceiveRequest TakeBuffer()
    {
        Assert.True(Buffers > 0);
        return PhysicalMemory.At<NetifReceiveRequest>(_receive + 64 + _receiveTaken++ % ReceiveEntries * 8);
    }

    /// <summary>Puts any response into the place of the buffer that was taken last.</summary>
    public void PlaceRaw(NetifReceiveResponse response) =>
        PhysicalMemory.At<NetifReceiveResponse>(_receive + 64 + (_receiveTaken - 1) % ReceiveEntries * 8) = response;

    /// <summary>Shows the frontend what was placed; whether it wants to be notified is not told.</summary>
    public bool Expose(uint more = 0)
    {
        Write(_receive, 8, unchecked(_receiveTaken + more));
        return true;
    }

    public ulong Hold(uint reference) => _grants.Map(reference, Domain, false);

    public void Drop(uint reference) => _grants.Unmap(reference);

    /// <summary>Lets go of the rings.</summary>
    public void Close()
    {
        _grants.Unmap(_transmitReference);
        _grants.Unmap(_receiveReference);
    }

    private T Next<T>() where T : unmanaged => PhysicalMemory.At<T>(_transmit + 64 + _sendTaken++ % TransmitEntries * 12);

    private static uint Read(ulong ring, uint offset) => PhysicalMemory.Read<uint>(ring + offset);

    private static void Write(ulong ring, uint offset, uint value) => PhysicalMemory.Write(ring + offset, value);
}
