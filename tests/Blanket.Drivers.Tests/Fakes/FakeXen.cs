using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Drivers.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A Xen underneath: event channels, grants, a xenstore, and backends that react when <see cref="Run"/> is called.</summary>
internal sealed class FakeXen : XenHypercalls
{
    private readonly FakeGrants _grants = null!;
    private readonly Dictionary<uint, Action> _remotes = [];
    private readonly HashSet<uint> _ports = [];
    private readonly ulong _vcpuInfo;
    private uint _nextPort = 10;
    private bool _isAnswering;

    /// <summary>A machine with that L0 and so many CPUs.</summary>
    public FakeXen(int cpus = 1)
    {
        Machine = new FakeMachine(16384);
        Machine.Interrupts.Cpus = cpus;
        _grants = new FakeGrants();
        SharedInfo = FakeMachine.NewPage();
        _vcpuInfo = FakeMachine.NewPage();
        Events = new EventPorts(this, SharedInfo, 1);
        Events.SetVcpuInfo(0, _vcpuInfo);
        XenbusStore store = XenbusStore.Create(Events);
        Store = new FakeStore(this);
        Transport = new XenTransport(this, _grants.Access, Events, store, Machine.Interrupts);
        ConnectStore();
    }

    public FakeMachine Machine { get; }

    public FakeGrants Grants => _grants;

    public EventPorts Events { get; }

    public FakeStore Store { get; private set; }

    public XenTransport Transport { get; }

    public List<FakeBackend> Backends { get; } = [];

    /// <summary>Ports of the domain.</summary>
    public int OpenPorts => _ports.Count;

    /// <summary>The store and the backends work while the domain does, as at boot, where it polls.</summary>
    public bool AnswersAtOnce { get; set; }

    private ulong SharedInfo { get; }

    /// <summary>Lets everybody do what there is to do until nothing is left; fails the test when that does not end.</summary>
    public void Run()
    {
        int rounds = 0;
        bool isBusy = true;
        while (isBusy)
        {
            Assert.True(rounds++ < 10_000, "the devices and their backends do not come to rest");
            isBusy = Store.Process();
            foreach (FakeBackend backend in Backends)
            {
                isBusy |= backend.Process();
            }

            isBusy |= DeliverEvents();
            Machine.Interrupts.Deliver();
        }
    }

    /// <summary>What is called when the domain notifies a port.</summary>
    public void Connect(uint port, Action remote)
    {
        Assert.Contains(port, _ports);
        _remotes[port] = remote;
    }

    /// <summary>An event for a port of the domain; one that is closed gets none.</summary>
    public void Raise(uint port)
    {
        if (!_ports.Contains(port))
        {
            return;
        }

        PhysicalMemory.At<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventPendingOffset + port / 64 * 8) |= 1UL << (int)(port % 64);
        PhysicalMemory.At<ulong>(_vcpuInfo + VcpuInfo.PendingSelectorOffset) |= 1UL << (int)(port / 64);
        PhysicalMemory.Write(_vcpuInfo, (byte)1);
    }

    /// <summary>The domain was saved and restored: ports, grants and the store's connection are gone.</summary>
    public void Restore()
    {
        _ports.Clear();
        _remotes.Clear();
        PhysicalMemory.ZeroFrame(SharedInfo >> Cpu.PageShift);
        PhysicalMemory.ZeroFrame(_vcpuInfo >> Cpu.PageShift);
        _grants.Lose();
        Events.Reset();
        foreach (FakeBackend backend in Backends)
        {
            backend.Vanish();
        }

        Store = Store.Migrated();
        ConnectStore();
    }

    public override long Call(uint number, ulong command, Span<byte> argument, ulong count) =>
        number == HypercallNumber.EventChannelOp ? CallEvents((int)command, argument) : _grants.Call(number, command, argument, count);

    public override long CallVcpu(uint command, uint vcpu, Span<byte> argument) => -Errno.ENOSYS;

    private void ConnectStore()
    {
        uint port = _nextPort++;
        _ports.Add(port);
        Store.Port = port;
        _remotes[port] = AnswerStore;
        Assert.True(Transport.Store.Connect(Store.Ring, port));
    }

    private void AnswerStore()
    {
        if (AnswersAtOnce && !_isAnswering)
        {
            _isAnswering = true;
            while (Store.Process() | Backends.Count(backend => backend.Process()) != 0)
            {
            }

            _isAnswering = false;
        }
    }

    private bool DeliverEvents()
    {
        bool isPending = PhysicalMemory.Read<byte>(_vcpuInfo) != 0;
        if (isPending)
        {
            Events.HandleUpcall(0);
        }

        return isPending;
    }

    private long CallEvents(int command, Span<byte> argument)
    {
        if (command == EventChannelOp.AllocateUnbound)
        {
            ref EventChannelAllocateUnbound allocate = ref MemoryMarshal.AsRef<EventChannelAllocateUnbound>(argument);
            allocate.Port = _nextPort++;
            _ports.Add(allocate.Port);
            return 0;
        }

        uint port = MemoryMarshal.Read<uint>(argument);
        switch (command)
        {
            case EventChannelOp.Send:
                if (_remotes.TryGetValue(port, out Action? remote))
                {
                    remote();
                }

                return _ports.Contains(port) ? 0 : -Errno.EINVAL;
            case EventChannelOp.Close:
                Assert.True(_ports.Remove(port), $"port {port} is closed twice");
                _remotes.Remove(port);
                return 0;
            case EventChannelOp.Unmask:
                Unmask(port);
                return 0;
            default:
                Assert.Fail($"event channel operation {command}");
                return 0;
        }
    }

    private void Unmask(uint port)
    {
        PhysicalMemory.At<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventMaskOffset + port / 64 * 8) &= ~(1UL << (int)(port % 64));
        if ((PhysicalMemory.Read<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventPendingOffset + port / 64 * 8) >> (int)(port % 64) & 1) != 0)
        {
            Raise(port);
        }
    }
}
