using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Blanket.Abi.Xen.Io;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A backend of a device as L0's kernel has it: follows the frontend's state and serves rings.</summary>
internal abstract class FakeBackend
{
    protected FakeBackend(FakeXen xen, string kind, uint id, ushort domain, IEnumerable<(string Name, string Value)> features)
    {
        Xen = xen;
        Frontend = $"device/{kind}/{id}";
        Path = string.Create(CultureInfo.InvariantCulture, $"/local/domain/{domain}/backend/{kind}/1/{id}");
        Set("online", "1");
        foreach ((string name, string value) in features)
        {
            Set(name, value);
        }

        State = XenbusState.InitWait;
        xen.Store.Set(Frontend + "/backend", Path);
        xen.Store.Set(Frontend + "/backend-id", domain.ToString(CultureInfo.InvariantCulture));
        xen.Store.Set(Frontend + "/state", "1");
        xen.Backends.Add(this);
    }

    public XenbusState State
    {
        get => (XenbusState)(Xen.Store.Number(Path + "/state") ?? 0);
        set => Set("state", ((int)value).ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Whether requests are served by themselves.</summary>
    public bool IsAutomatic { get; set; } = true;

    /// <summary>Connections so far.</summary>
    public int Connections { get; private set; }

    protected FakeXen Xen { get; }

    protected string Frontend { get; }

    protected string Path { get; }

    /// <summary>Event ports of the queues, the frontend's numbers.</summary>
    public List<uint> Ports { get; } = [];

    public XenbusState FrontendState => (XenbusState)(Xen.Store.Number(Frontend + "/state") ?? 0);

    public void Set(string name, string value) => Xen.Store.Set($"{Path}/{name}", value);

    /// <summary>Follows the frontend; whether something happened.</summary>
    public bool Process()
    {
        if (Xen.Store.IsDead)
        {
            return IsAutomatic && State == XenbusState.Connected && Serve();
        }

        switch (FrontendState)
        {
            case XenbusState.Initialising when State == XenbusState.Closed && Xen.Store[Path + "/online"] == "1":
                State = XenbusState.InitWait;
                return true;
            case XenbusState.Initialised or XenbusState.Connected when State == XenbusState.InitWait:
                Connect();
                return true;
            case XenbusState.Closed when State != XenbusState.Closed:
                Disconnect();
                State = XenbusState.Closed;
                return true;
            default:
                return IsAutomatic && State == XenbusState.Connected && Serve();
        }
    }

    /// <summary>Wants the device back.</summary>
    public void Close() => State = XenbusState.Closing;

    /// <summary>The toolstack takes the device away.</summary>
    public void Remove()
    {
        Set("online", "0");
        Close();
    }

    /// <summary>The machine went elsewhere: this backend is gone and a new one waits.</summary>
    public void Vanish()
    {
        Forget();
        Ports.Clear();
        State = XenbusState.InitWait;
        Xen.Store.Set(Frontend + "/state", "1");
    }

    protected abstract void ConnectQueue(string directory);

    protected abstract void Forget();

    protected abstract void CloseQueues();

    protected abstract bool Serve();

    protected abstract void Publish();

    private void Connect()
    {
        Connections++;
        uint? queues = Xen.Store.Number(Frontend + "/multi-queue-num-queues");
        for (uint i = 0; i < (queues ?? 1); i++)
        {
            string directory = queues is null ? Frontend : $"{Frontend}/queue-{i}";
            ConnectQueue(directory);
            uint port = Xen.Store.Number(directory + "/event-channel")!.Value;
            Xen.Connect(port, static () => { });
            Ports.Add(port);
        }

        Publish();
        State = XenbusState.Connected;
    }

    private void Disconnect()
    {
        CloseQueues();
        Ports.Clear();

        // What an earlier connection wrote must not count for the next.
        Xen.Store.RemoveBelow(Frontend + "/multi-queue-num-queues");
        Xen.Store.RemoveBelow(Frontend + "/queue-");
    }
}

/// <summary>A disk's backend.</summary>
internal sealed class FakeVbd : FakeBackend
{
    private readonly uint _id;

    public FakeVbd(FakeXen xen, uint id, params (string Name, string Value)[] features)
        : base(xen, "vbd", id, FakeBlkback.Domain, features)
    {
        _id = id;
        xen.Store.Set(Frontend + "/virtual-device", id.ToString(CultureInfo.InvariantCulture));
        Set("sectors", "4096");
        Set("sector-size", "512");
        Set("info", "0");
    }

    public byte[] Contents { get; } = new byte[4096 * 512];

    public List<FakeBlkback> Rings { get; } = [];

    public int MaximumSegments { get; init; } = 11;

    protected override void ConnectQueue(string directory)
    {
        uint order = Xen.Store.Number(Frontend + "/ring-page-order") ?? 0;
        uint[] references = order == 0
            ? [Xen.Store.Number(directory + "/ring-ref")!.Value]
            : [.. Enumerable.Range(0, 1 << (int)order).Select(page => Xen.Store.Number($"{directory}/ring-ref{page}")!.Value)];
        Rings.Add(new FakeBlkback(Xen.Grants, references, Contents) { MaximumSegments = Math.Max(11, MaximumSegments) });
    }

    protected override void CloseQueues()
    {
        Rings.ForEach(ring => ring.Close());
        Rings.Clear();
    }

    protected override void Forget() => Rings.Clear();

    protected override void Publish()
    {
        Set("feature-max-indirect-segments", MaximumSegments.ToString(CultureInfo.InvariantCulture));
        Set("feature-flush-cache", "1");
    }

    protected override bool Serve()
    {
        bool hasServed = false;
        for (int i = 0; i < Rings.Count; i++)
        {
            List<BlkRequest> requests = Rings[i].Take();
            Assert.All(requests, request => Assert.True(request.Handle == _id || request.Operation != BlkifOperation.Read));
            foreach (BlkRequest request in requests)
            {
                hasServed = true;
                if (Rings[i].Finish(request))
                {
                    Xen.Raise(Ports[i]);
                }
            }
        }

        return hasServed;
    }
}

/// <summary>A network interface's backend, which sends every packet back.</summary>
internal sealed class FakeVif(FakeXen xen, uint id, params (string Name, string Value)[] features)
    : FakeBackend(xen, "vif", id, FakeNetback.Domain, features)
{
    public List<FakeNetback> Pairs { get; } = [];

    protected override void ConnectQueue(string directory) =>
        Pairs.Add(new FakeNetback(Xen.Grants, Xen.Store.Number(directory + "/tx-ring-ref")!.Value, Xen.Store.Number(directory + "/rx-ring-ref")!.Value));

    protected override void CloseQueues()
    {
        Pairs.ForEach(pair => pair.Close());
        Pairs.Clear();
    }

    protected override void Forget() => Pairs.Clear();

    protected override void Publish()
    {
    }

    protected override bool Serve()
    {
        bool hasServed = false;
        for (int i = 0; i < Pairs.Count; i++)
        {
            while (Pairs[i].Take() is NetbackPacket packet)
            {
                hasServed = true;
                Pairs[i].Inject(packet.Bytes);
                Pairs[i].Answer(packet);
                Xen.Raise(Ports[i]);
            }
        }

        return hasServed;
    }
}
