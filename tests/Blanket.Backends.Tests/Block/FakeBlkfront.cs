using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A segment of a request as a test names it.</summary>
internal readonly record struct Segment(uint Reference, byte First, byte Last);

/// <summary>An answer of the backend.</summary>
internal readonly record struct Response(ulong Id, byte Operation, short Status);

/// <summary>A block frontend, honest unless told otherwise.</summary>
internal sealed class FakeBlkfront
{
    private readonly TestGuest _guest;
    private readonly string _directory;
    private readonly BlkifLayout _layout;
    private readonly string _protocol;

    internal FakeBlkfront(TestGuest guest, uint device, BlkifLayout? layout = null, string protocol = "x86_64-abi")
    {
        _guest = guest;
        _directory = $"{guest.Home}/device/vbd/{device}";
        _layout = layout ?? BlkifLayout.Bits64;
        _protocol = protocol;
    }

    internal List<FrontRing> Rings { get; } = new();

    internal string BackendDirectory => _guest.Machine.Read($"{_directory}/backend")!;

    internal int BackendState => int.Parse(_guest.Machine.Read($"{BackendDirectory}/state")!);

    internal string? BackendNode(string name) => _guest.Machine.Read($"{BackendDirectory}/{name}");

    internal void SetState(int state)
    {
        _guest.Machine.Write($"{_directory}/state", state.ToString());
        _guest.Machine.Settle();
    }

    internal void Write(string name, string value) => _guest.Machine.Write($"{_directory}/{name}", value);

    internal void RemoveNode(string name) => _guest.Machine.Remove($"{_directory}/{name}");

    /// <summary>Connects as blkfront does, and waits for the backend.</summary>
    internal void Connect(int queues = 1, int order = 0, int state = 3)
    {
        Prepare(queues, order);
        SetState(state);
        Assert.Equal(4, BackendState);
        SetState(4);
    }

    internal void Prepare(int queues = 1, int order = 0)
    {
        Rings.Clear();
        if (order > 0)
        {
            Write("ring-page-order", order.ToString());
        }

        if (queues > 1)
        {
            Write("multi-queue-num-queues", queues.ToString());
        }

        for (int queue = 0; queue < queues; queue++)
        {
            FrontRing ring = new(_guest, 1 << order, _layout.EntrySize);
            Rings.Add(ring);
            string prefix = queues > 1 ? $"queue-{queue}/" : "";
            for (int page = 0; page < 1 << order; page++)
            {
                Write(prefix + (order == 0 ? "ring-ref" : $"ring-ref{page}"), ring.References[page].ToString());
            }

            Write(prefix + "event-channel", ring.Port.ToString());
        }

        Write("protocol", _protocol);
    }

    internal void PutTransfer(int ring, BlkifOperation operation, ulong id, ulong sector, ReadOnlySpan<Segment> segments, int? count = null)
    {
        byte[] entry = new byte[_layout.EntrySize];
        entry[0] = (byte)operation;
        entry[1] = (byte)(count ?? segments.Length);
        PutNumber(entry, _layout.Id, id);
        PutNumber(entry, _layout.Sector, sector);
        WriteSegments(entry.AsSpan(_layout.Segments), segments);
        Rings[ring].PutRequest(entry);
    }

    internal void PutIndirect(int ring, BlkifOperation operation, ulong id, ulong sector, ulong page, uint reference, ReadOnlySpan<Segment> segments, int? count = null)
    {
        byte[] entry = new byte[_layout.EntrySize];
        entry[0] = (byte)BlkifOperation.Indirect;
        entry[1] = (byte)operation;
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), (ushort)(count ?? segments.Length));
        PutNumber(entry, _layout.Id, id);
        PutNumber(entry, _layout.Sector, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(_layout.IndirectReferences), reference);
        WriteSegments(PhysicalMemory.Frame(page), segments);
        Rings[ring].PutRequest(entry);
    }

    internal void PutDiscard(int ring, ulong id, ulong sector, ulong count, byte flags = 0)
    {
        byte[] entry = new byte[_layout.EntrySize];
        entry[0] = (byte)BlkifOperation.Discard;
        entry[1] = flags;
        PutNumber(entry, _layout.Id, id);
        PutNumber(entry, _layout.Sector, sector);
        PutNumber(entry, _layout.DiscardSectors, count);
        Rings[ring].PutRequest(entry);
    }

    internal List<Response> Take(int ring = 0)
    {
        List<Response> responses = new();
        foreach (byte[] entry in Rings[ring].TakeResponses())
        {
            responses.Add(new Response(
                BinaryPrimitives.ReadUInt64LittleEndian(entry), entry[8], BinaryPrimitives.ReadInt16LittleEndian(entry.AsSpan(10))));
        }

        return responses;
    }

    private static void PutNumber(byte[] entry, int offset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(offset), value);

    private static void WriteSegments(Span<byte> destination, ReadOnlySpan<Segment> segments)
    {
        for (int i = 0; i < segments.Length; i++)
        {
            Span<byte> entry = destination.Slice(i * 8, 8);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, segments[i].Reference);
            entry[4] = segments[i].First;
            entry[5] = segments[i].Last;
        }
    }
}
