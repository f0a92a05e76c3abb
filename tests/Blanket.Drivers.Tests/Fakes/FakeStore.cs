using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A xenstore with one client, over the ring of a domain. Everybody may do everything; transactions are not isolated.</summary>
internal sealed class FakeStore : SimulatedRegisters
{
    public const string Home = "/local/domain/1/";
    private readonly FakeXen _xen;
    private readonly byte[] _page = new byte[4096];
    private readonly SortedDictionary<string, string> _nodes;
    private readonly List<(string Path, string Given, string Token)> _watches = [];
    private readonly Queue<byte> _output = new();
    private readonly List<byte> _input = [];

    public FakeStore(FakeXen xen)
        : this(xen, new(StringComparer.Ordinal))
    {
    }

    private FakeStore(FakeXen xen, SortedDictionary<string, string> nodes)
    {
        _xen = xen;
        _nodes = nodes;
        Ring = new DeviceRegisters(this, (ulong)_page.Length);
    }

    public DeviceRegisters Ring { get; }

    public uint Port { get; set; }

    /// <summary>Takes and sends nothing any more.</summary>
    public bool IsDead { get; set; }

    /// <summary>Transactions that end with a conflict before one does not.</summary>
    public int Conflicts { get; set; }

    /// <summary>The same nodes with a new ring and no watches.</summary>
    public FakeStore Migrated() => new(_xen, _nodes);

    public string? this[string path]
    {
        get => _nodes.GetValueOrDefault(Absolute(path));
        set => Set(path, value!);
    }

    public void Set(string path, string value)
    {
        _nodes[Absolute(path)] = value;
        Fire(Absolute(path));
    }

    /// <summary>Names below a node.</summary>
    public void RemoveBelow(string path)
    {
        foreach (string node in _nodes.Keys.Where(node => node.StartsWith(Absolute(path), StringComparison.Ordinal)).ToArray())
        {
            _nodes.Remove(node);
        }
    }

    /// <summary>Writes over an index of the ring.</summary>
    public void Damage(int offset, uint value)
    {
        BitConverter.TryWriteBytes(_page.AsSpan(offset), value);
        _xen.Raise(Port);
    }

    /// <summary>Sends any message.</summary>
    public void Send(XenStoreMessage type, uint request, string payload)
    {
        Put((uint)type);
        Put(request);
        Put(0);
        Put((uint)payload.Length);
        Encoding.Latin1.GetBytes(payload).ToList().ForEach(_output.Enqueue);
    }

    /// <summary>Moves bytes and serves requests; whether there was something to do.</summary>
    public bool Process()
    {
        if (IsDead)
        {
            return false;
        }

        bool moved = TakeInput();
        while (_input.Count >= 16 && _input.Count >= 16 + Length())
        {
            byte[] message = [.. _input.Take(16 + Length())];
            _input.RemoveRange(0, message.Length);
            Serve((XenStoreMessage)BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, 4), Encoding.Latin1.GetString(message, 16, message.Length - 16));
        }

        moved |= PutOutput();
        if (moved)
        {
            _xen.Raise(Port);
        }

        return moved;
    }

    public override ulong Read(ulong offset, int size) => size == 1 ? _page[offset] : BitConverter.ToUInt32(_page, (int)offset);

    public override void Write(ulong offset, int size, ulong value)
    {
        if (size == 1)
        {
            _page[offset] = (byte)value;
        }
        else
        {
            BitConverter.TryWriteBytes(_page.AsSpan((int)offset), (uint)value);
        }
    }

    private static string Absolute(string path) => path.StartsWith('/') ? path : Home + path;

    private int Length() => BitConverter.ToInt32([.. _input.Skip(12).Take(4)]);

    private void Put(uint value) => BitConverter.GetBytes(value).ToList().ForEach(_output.Enqueue);

    private uint Index(int offset) => BitConverter.ToUInt32(_page, offset);

    private bool TakeInput()
    {
        uint consumer = Index(XenStoreWire.RequestConsumer);
        uint count = unchecked(Index(XenStoreWire.RequestProducer) - consumer);
        for (uint i = 0; i < count; i++)
        {
            _input.Add(_page[XenStoreWire.RequestRing + unchecked(consumer + i) % 1024]);
        }

        BitConverter.TryWriteBytes(_page.AsSpan(XenStoreWire.RequestConsumer), consumer + count);
        return count != 0;
    }

    private bool PutOutput()
    {
        uint producer = Index(XenStoreWire.ResponseProducer);
        uint start = producer;
        while (_output.Count != 0 && unchecked(producer - Index(XenStoreWire.ResponseConsumer)) < 1024)
        {
            _page[XenStoreWire.ResponseRing + producer++ % 1024] = _output.Dequeue();
        }

        BitConverter.TryWriteBytes(_page.AsSpan(XenStoreWire.ResponseProducer), producer);
        return producer != start;
    }

    private void Serve(XenStoreMessage type, uint request, string payload)
    {
        string[] parts = payload.Split('\0');
        string path = Absolute(parts[0]);
        switch (type)
        {
            case XenStoreMessage.Read:
                Answer(type, request, _nodes.GetValueOrDefault(path));
                break;
            case XenStoreMessage.Directory:
                string[] names = [.. _nodes.Keys.Where(node => node.StartsWith(path + '/', StringComparison.Ordinal))
                    .Select(node => node[(path.Length + 1)..].Split('/')[0]).Distinct()];
                Answer(type, request, names.Length == 0 ? null : string.Concat(names.Select(name => name + '\0')));
                break;
            case XenStoreMessage.Write:
                Set(path, payload[(parts[0].Length + 1)..]);
                Answer(type, request, "OK\0");
                break;
            case XenStoreMessage.Watch:
                _watches.Add((path, parts[0], parts[1]));
                Answer(type, request, "OK\0");
                Send(XenStoreMessage.WatchEvent, 0, $"{parts[0]}\0{parts[1]}\0");
                break;
            case XenStoreMessage.Unwatch:
                _watches.RemoveAll(watch => watch.Path == path && watch.Token == parts[1]);
                Answer(type, request, "OK\0");
                break;
            case XenStoreMessage.TransactionStart:
                Answer(type, request, "7\0");
                break;
            case XenStoreMessage.TransactionEnd when Conflicts > 0:
                Conflicts--;
                Send(XenStoreMessage.Error, request, "EAGAIN\0");
                break;
            case XenStoreMessage.TransactionEnd:
                Answer(type, request, "OK\0");
                break;
            default:
                Send(XenStoreMessage.Error, request, "ENOSYS\0");
                break;
        }
    }

    private void Answer(XenStoreMessage type, uint request, string? value)
    {
        if (value is null)
        {
            Send(XenStoreMessage.Error, request, "ENOENT\0");
        }
        else
        {
            Send(type, request, value);
        }
    }

    private void Fire(string path)
    {
        foreach ((string watched, string given, string token) in _watches)
        {
            if (path == watched || path.StartsWith(watched + '/', StringComparison.Ordinal))
            {
                Send(XenStoreMessage.WatchEvent, 0, $"{given}{path[watched.Length..]}\0{token}\0");
            }
        }
    }

    /// <summary>A number in a node; null when there is none.</summary>
    public uint? Number(string path) => uint.TryParse(this[path], CultureInfo.InvariantCulture, out uint value) ? value : null;
}
