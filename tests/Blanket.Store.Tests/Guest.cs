using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi;

namespace Blanket.Store.Tests;

/// <summary>A domain that talks to the store through its ring, as a well-behaved kernel does.</summary>
internal sealed class Guest
{
    private readonly StoreFixture _fixture;
    private readonly List<byte> _unparsed = [];
    private uint _nextRequest = 1;

    public Guest(StoreFixture fixture, ushort domid, TestRing ring)
    {
        _fixture = fixture;
        Domid = domid;
        Ring = ring;
    }

    public ushort Domid { get; }

    public TestRing Ring { get; }

    public Queue<Message> Replies { get; } = [];

    public Queue<(string Path, string Token)> Events { get; } = [];

    /// <summary>All messages in the order of their arrival: "event" or the reply's type.</summary>
    public List<string> Arrivals { get; } = [];

    public static string Text(byte[] payload) => Encoding.Latin1.GetString(payload);

    /// <summary>Sends a request and returns the reply's payload; an error's name when it is one.</summary>
    public string Ask(XenStoreMessage type, string payload, uint transaction = 0)
    {
        Message reply = Request(type, payload, transaction);
        Assert.True(reply.Type == type || reply.Type == XenStoreMessage.Error, $"{type} got {reply.Type}");
        return Text(reply.Payload).TrimEnd('\0');
    }

    public Message Request(XenStoreMessage type, string payload, uint transaction = 0)
    {
        uint request = Send(type, payload, transaction);
        for (int i = 0; i < 1000 && Replies.Count == 0; i++)
        {
            Pump();
        }

        Message reply = Replies.Dequeue();
        Assert.Equal(request, reply.Request);
        Assert.Equal(transaction, reply.Transaction);
        return reply;
    }

    public uint Send(XenStoreMessage type, string payload, uint transaction = 0)
    {
        uint request = _nextRequest++;
        byte[] message = Build((uint)type, request, transaction, Encoding.Latin1.GetBytes(payload));
        int sent = 0;
        for (int i = 0; i < 1000 && sent < message.Length; i++)
        {
            sent += Push(message.AsSpan(sent));
            if (sent < message.Length)
            {
                Pump();
            }
        }

        Assert.Equal(message.Length, sent);
        return request;
    }

    public static byte[] Build(uint type, uint request, uint transaction, byte[] payload)
    {
        byte[] message = new byte[16 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, type);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), request);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), transaction);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(12), (uint)payload.Length);
        payload.CopyTo(message, 16);
        return message;
    }

    /// <summary>Puts bytes into the request ring, as many as fit.</summary>
    public int Push(ReadOnlySpan<byte> bytes)
    {
        uint producer = Ring[XenStoreWire.RequestProducer];
        int room = XenStoreWire.RingSize - (int)(producer - Ring[XenStoreWire.RequestConsumer]);
        int count = Math.Min(room, bytes.Length);
        for (int i = 0; i < count; i++)
        {
            Ring.Page[XenStoreWire.RequestRing + (int)((producer + (uint)i) % XenStoreWire.RingSize)] = bytes[i];
        }

        Ring[XenStoreWire.RequestProducer] = producer + (uint)count;
        return count;
    }

    /// <summary>Lets the store work, and takes what it sent.</summary>
    public void Pump()
    {
        _fixture.Store.RingNotified(Domid);
        _fixture.Run();
        Take();
    }

    /// <summary>Takes what is in the response ring.</summary>
    public void Take()
    {
        uint consumer = Ring[XenStoreWire.ResponseConsumer];
        uint producer = Ring[XenStoreWire.ResponseProducer];
        Assert.True(producer - consumer <= XenStoreWire.RingSize);
        for (; consumer != producer; consumer++)
        {
            _unparsed.Add(Ring.Page[XenStoreWire.ResponseRing + (int)(consumer % XenStoreWire.RingSize)]);
        }

        Ring[XenStoreWire.ResponseConsumer] = consumer;
        while (TryParse())
        {
        }
    }

    /// <summary>Takes everything, waiting events too.</summary>
    public List<(string Path, string Token)> TakeEvents()
    {
        int before;
        do
        {
            before = Events.Count;
            Pump();
        }
        while (Events.Count != before || _unparsed.Count > 0);

        List<(string Path, string Token)> all = [.. Events];
        Events.Clear();
        return all;
    }

    /// <summary>Starts over after a reset of the ring.</summary>
    public void Forget()
    {
        _unparsed.Clear();
        Replies.Clear();
        Events.Clear();
        Arrivals.Clear();
    }

    public string Read(string path, uint transaction = 0) => Ask(XenStoreMessage.Read, path + "\0", transaction);

    public string Write(string path, string value, uint transaction = 0) =>
        Ask(XenStoreMessage.Write, path + "\0" + value, transaction);

    public string MakeDirectory(string path, uint transaction = 0) =>
        Ask(XenStoreMessage.MakeDirectory, path + "\0", transaction);

    public string Remove(string path, uint transaction = 0) => Ask(XenStoreMessage.Remove, path + "\0", transaction);

    public string Directory(string path, uint transaction = 0) =>
        Ask(XenStoreMessage.Directory, path + "\0", transaction).Replace('\0', ' ');

    public string GetPermissions(string path, uint transaction = 0) =>
        Ask(XenStoreMessage.GetPermissions, path + "\0", transaction).Replace('\0', ' ');

    public string SetPermissions(string path, string entries, uint transaction = 0) =>
        Ask(XenStoreMessage.SetPermissions, path + "\0" + entries.Replace(' ', '\0') + "\0", transaction);

    public string Watch(string path, string token) => Ask(XenStoreMessage.Watch, path + "\0" + token + "\0");

    public string Unwatch(string path, string token) => Ask(XenStoreMessage.Unwatch, path + "\0" + token + "\0");

    public uint Start() => uint.Parse(Ask(XenStoreMessage.TransactionStart, "\0"), System.Globalization.CultureInfo.InvariantCulture);

    public string End(uint transaction, bool commit = true) =>
        Ask(XenStoreMessage.TransactionEnd, commit ? "T\0" : "F\0", transaction);

    private bool TryParse()
    {
        if (_unparsed.Count < 16)
        {
            return false;
        }

        byte[] header = _unparsed.GetRange(0, 16).ToArray();
        int length = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(12));
        Assert.InRange(length, 0, XenStoreWire.PayloadMax);
        if (_unparsed.Count < 16 + length)
        {
            return false;
        }

        byte[] payload = _unparsed.GetRange(16, length).ToArray();
        _unparsed.RemoveRange(0, 16 + length);
        Message message = new(
            (XenStoreMessage)BinaryPrimitives.ReadUInt32LittleEndian(header),
            BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)),
            BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(8)),
            payload);
        if (message.Type == XenStoreMessage.WatchEvent)
        {
            Assert.Equal(0u, message.Request);
            Assert.Equal(0u, message.Transaction);
            string[] parts = Text(payload).Split('\0');
            Assert.Equal(3, parts.Length);
            Events.Enqueue((parts[0], parts[1]));
            Arrivals.Add("event");
        }
        else
        {
            Replies.Enqueue(message);
            Arrivals.Add(message.Type.ToString());
        }

        return true;
    }
}

internal sealed record Message(XenStoreMessage Type, uint Request, uint Transaction, byte[] Payload);
