using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A request that a backend took from a ring.</summary>
internal sealed record BlkRequest(
    ulong Id, BlkifOperation Operation, bool IsIndirect, ushort Handle, ulong Sector, ulong Sectors, (uint Reference, int First, int Last)[] Segments)
{
    /// <summary>Bytes of its segments.</summary>
    public int Bytes => Segments.Sum(s => s.Last - s.First + 1) * 512;
}

/// <summary>
/// Blkback for one ring: takes requests apart as the ABI says, with its own code, and does them on an array. Misbehaves on demand.
/// </summary>
internal sealed class FakeBlkback
{
    public const ushort Domain = 3;

    private readonly FakeGrants _grants;
    private readonly uint[] _ringReferences;
    private readonly ulong[] _ringFrames;
    private uint _taken;
    private uint _answered;

    /// <summary>Maps a ring of so many pages.</summary>
    public FakeBlkback(FakeGrants grants, uint[] ringReferences, byte[] contents)
    {
        _grants = grants;
        _ringReferences = ringReferences;
        _ringFrames = [.. ringReferences.Select(r => grants.Map(r, Domain, true))];
        Contents = contents;
        Entries = 1;
        while (Entries * 2 * 112 <= ringReferences.Length * 4096 - 64)
        {
            Entries *= 2;
        }

        _taken = Read32(8);
        _answered = _taken;
    }

    public byte[] Contents { get; }

    public int Entries { get; }

    public int MaximumSegments { get; set; } = 11;

    public uint LogicalBlockSize { get; set; } = 512;

    public int Flushes { get; private set; }

    /// <summary>Every write, flush and discard in the order of execution.</summary>
    public List<(BlkifOperation Operation, ulong Sector)> Journal { get; } = [];

    /// <summary>Status of all that is to come, instead of the right one.</summary>
    public short? ForcedStatus { get; set; }

    /// <summary>The frontend's notification is wanted.</summary>
    public bool WantsEvent => unchecked(Read32(0) - Read32(4)) < 0x8000_0000;

    /// <summary>Takes all requests that are in the ring.</summary>
    public List<BlkRequest> Take()
    {
        List<BlkRequest> requests = [];
        uint produced = Read32(0);
        Assert.True(unchecked(produced - _answered) <= (uint)Entries, "more requests than entries");
        while (_taken != produced)
        {
            requests.Add(Parse(Entry(_taken++, 112)));
        }

        Write32(4, _taken + 1);
        return requests;
    }

    /// <summary>Does a request, and answers it.</summary>
    /// <returns>Whether the frontend wants to be notified.</returns>
    public bool Finish(BlkRequest request) => Answer(request.Id, Execute(request), (byte)request.Operation);

    /// <summary>Does and answers all that is there; whether the frontend wants to be notified.</summary>
    public bool Process()
    {
        bool mustNotify = false;
        foreach (BlkRequest request in Take())
        {
            mustNotify |= Finish(request);
        }

        return mustNotify;
    }

    /// <summary>Does a request without answering it.</summary>
    public short Execute(BlkRequest request)
    {
        switch (request.Operation)
        {
            case BlkifOperation.Read:
            case BlkifOperation.Write:
                Assert.Equal(0u, (uint)request.Bytes % LogicalBlockSize);
                Assert.Equal(0ul, request.Sector * 512 % LogicalBlockSize);
                Assert.InRange(request.Segments.Length, 1, MaximumSegments);
                Transfer(request);
                break;
            case BlkifOperation.FlushDiskCache:
            case BlkifOperation.WriteBarrier:
                Assert.Empty(request.Segments);
                Flushes++;
                break;
            case BlkifOperation.Discard:
                Contents.AsSpan((int)request.Sector * 512, (int)request.Sectors * 512).Clear();
                break;
            default:
                Assert.Fail($"operation {request.Operation}");
                break;
        }

        if (request.Operation != BlkifOperation.Read)
        {
            Journal.Add((request.Operation, request.Sector));
        }

        return ForcedStatus ?? 0;
    }

    /// <summary>Puts any response into the ring.</summary>
    public bool Answer(ulong id, short status, byte operation = 0)
    {
        byte[] response = new byte[16];
        BitConverter.TryWriteBytes(response, id);
        response[8] = operation;
        BitConverter.TryWriteBytes(response.AsSpan(10), status);
        WriteEntry(_answered, response);
        return Expose(1);
    }

    /// <summary>Moves the response index without a response.</summary>
    public bool Expose(uint count)
    {
        uint old = _answered;
        _answered = unchecked(_answered + count);
        Write32(8, _answered);
        return unchecked(_answered - Read32(12)) < unchecked(_answered - old);
    }

    /// <summary>Keeps a page of a request mapped.</summary>
    public ulong Hold(uint reference) => _grants.Map(reference, Domain, false);

    public void Drop(uint reference) => _grants.Unmap(reference);

    /// <summary>Lets go of the ring.</summary>
    public void Close()
    {
        foreach (uint reference in _ringReferences)
        {
            _grants.Unmap(reference);
        }
    }

    private void Transfer(BlkRequest request)
    {
        int at = (int)request.Sector * 512;
        bool isRead = request.Operation == BlkifOperation.Read;
        foreach ((uint reference, int first, int last) in request.Segments)
        {
            Assert.InRange(first, 0, 7);
            Assert.InRange(last, first, 7);
            ulong frame = _grants.Map(reference, Domain, isRead);
            Span<byte> page = PhysicalMemory.Bytes((frame << 12) + (ulong)first * 512, (last - first + 1) * 512);
            Span<byte> disk = Contents.AsSpan(at, page.Length);
            if (isRead)
            {
                disk.CopyTo(page);
            }
            else
            {
                page.CopyTo(disk);
            }

            at += page.Length;
            _grants.Unmap(reference);
        }
    }

    private BlkRequest Parse(byte[] entry)
    {
        BlkifOperation operation = (BlkifOperation)entry[0];
        ulong id = BitConverter.ToUInt64(entry, 8);
        ulong sector = BitConverter.ToUInt64(entry, 16);
        if (operation == BlkifOperation.Discard)
        {
            return new BlkRequest(id, operation, false, BitConverter.ToUInt16(entry, 2), sector, BitConverter.ToUInt64(entry, 24), []);
        }

        if (operation != BlkifOperation.Indirect)
        {
            Assert.InRange(entry[1], 0, 11);
            return new BlkRequest(id, operation, false, BitConverter.ToUInt16(entry, 2), sector, 0, Segments(entry.AsSpan(24), entry[1]));
        }

        int count = BitConverter.ToUInt16(entry, 2);
        Assert.InRange(count, 12, MaximumSegments);
        uint table = BitConverter.ToUInt32(entry, 28);
        ulong frame = _grants.Map(table, Domain, false);
        (uint, int, int)[] segments = Segments(PhysicalMemory.Bytes(frame << 12, 4096), count);
        _grants.Unmap(table);
        return new BlkRequest(id, (BlkifOperation)entry[1], true, BitConverter.ToUInt16(entry, 24), sector, 0, segments);
    }

    private static (uint Reference, int First, int Last)[] Segments(ReadOnlySpan<byte> bytes, int count)
    {
        (uint, int, int)[] segments = new (uint, int, int)[count];
        for (int i = 0; i < count; i++)
        {
            segments[i] = (BitConverter.ToUInt32(bytes[(8 * i)..]), bytes[8 * i + 4], bytes[8 * i + 5]);
        }

        return segments;
    }

    private byte[] Entry(uint index, int length)
    {
        byte[] entry = new byte[length];
        for (int i = 0; i < length; i++)
        {
            entry[i] = PhysicalMemory.Read<byte>(EntryAddress(index, i));
        }

        return entry;
    }

    private void WriteEntry(uint index, byte[] bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            PhysicalMemory.Write(EntryAddress(index, i), bytes[i]);
        }
    }

    private ulong EntryAddress(uint index, int offset)
    {
        int at = 64 + (int)(index % (uint)Entries) * 112 + offset;
        return (_ringFrames[at >> 12] << 12) + (ulong)(at & 4095);
    }

    private uint Read32(uint offset) => PhysicalMemory.Read<uint>((_ringFrames[0] << 12) + offset);

    private void Write32(uint offset, uint value) => PhysicalMemory.Write((_ringFrames[0] << 12) + offset, value);
}
