using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>The frontend's side of a shared ring, with its event channel.</summary>
internal sealed class FrontRing
{
    private readonly TestGuest _guest;
    private readonly ulong[] _frames;
    private readonly int _entrySize;
    private readonly int _entries;
    private uint _responseConsumer;

    internal FrontRing(TestGuest guest, int pages, int entrySize, uint? port = null)
    {
        _guest = guest;
        _entrySize = entrySize;
        _entries = SharedRingLayout.EntryCount(pages * 4096, entrySize);
        _frames = Enumerable.Range(0, pages).Select(_ => guest.NewFrame()).ToArray();
        References = _frames.Select(frame => guest.Grant(frame)).ToArray();
        Port = port ?? guest.NewPort();
        WriteIndex(SharedRingLayout.RequestEvent, 1);
        WriteIndex(SharedRingLayout.ResponseEvent, 1);
    }

    internal uint[] References { get; }

    internal uint Port { get; }

    internal int Entries => _entries;

    internal uint RequestProducer { get; set; }

    internal int Free => _entries - (int)(RequestProducer - _responseConsumer);

    internal uint ResponseProducer => ReadIndex(SharedRingLayout.ResponseProducer);

    internal uint ResponseConsumer => _responseConsumer;

    internal void PutRequest(ReadOnlySpan<byte> entry)
    {
        Assert.True(Free > 0);
        WriteEntry(RequestProducer++, entry);
    }

    /// <summary>Shows the backend what was put in, and notifies it if it asked for it; tells whether it did.</summary>
    internal bool Push()
    {
        uint old = ReadIndex(SharedRingLayout.RequestProducer);
        WriteIndex(SharedRingLayout.RequestProducer, RequestProducer);
        uint wanted = ReadIndex(SharedRingLayout.RequestEvent);
        bool notify = RequestProducer - wanted < RequestProducer - old;
        if (notify)
        {
            _guest.Send(Port);
        }

        return notify;
    }

    internal void PushHostile(uint producer)
    {
        WriteIndex(SharedRingLayout.RequestProducer, producer);
        _guest.Send(Port);
    }

    internal List<byte[]> TakeResponses()
    {
        List<byte[]> responses = new();
        uint producer = ResponseProducer;
        Assert.True(producer - _responseConsumer <= _entries);
        while (_responseConsumer != producer)
        {
            byte[] entry = new byte[_entrySize];
            ReadEntry(_responseConsumer++, entry);
            responses.Add(entry);
        }

        WriteIndex(SharedRingLayout.ResponseEvent, _responseConsumer + 1);
        return responses;
    }

    internal uint ReadIndex(int offset) => PhysicalMemory.Read<uint>((_frames[0] << 12) + (uint)offset);

    internal void WriteIndex(int offset, uint value) => PhysicalMemory.Write((_frames[0] << 12) + (uint)offset, value);

    private void WriteEntry(uint index, ReadOnlySpan<byte> entry)
    {
        for (int i = 0; i < entry.Length; i++)
        {
            At(index, i) = entry[i];
        }
    }

    private void ReadEntry(uint index, Span<byte> entry)
    {
        for (int i = 0; i < entry.Length; i++)
        {
            entry[i] = At(index, i);
        }
    }

    private ref byte At(uint index, int offset)
    {
        int position = SharedRingLayout.Entries + (int)(index % (uint)_entries) * _entrySize + offset;
        return ref PhysicalMemory.At<byte>((_frames[position / 4096] << 12) + (uint)(position % 4096));
    }
}
