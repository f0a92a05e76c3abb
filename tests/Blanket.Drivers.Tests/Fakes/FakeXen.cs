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
    private readonly FakeFifo _fifo = new();
    private readonly Dictionary<uint, Action> _remotes = [];
    private readonly HashSet<uint> _ports = [];
    private readonly ulong[] _vcpuInfos;
    private readonly Dictionary<uint, int> _vcpus = [];
    private bool _isAnswering;

    /// <summary>A machine with that L0 and so many CPUs.</summary>
    /// <param name="cpus">CPUs.</param>
    /// <param name="fifo">Whether the FIFO ABI of event channels is offered.</param>
    public FakeXen(int cpus = 1, bool fifo = true)
    {
        OffersFifo = fifo;
        Machine = new FakeMachine(16384);
        Machine.Interrupts.Cpus = cpus;
        _grants = new FakeGrants();
        SharedInfo = FakeMachine.NewPage();
        _vcpuInfos = [.. Enumerable.Range(0, cpus).Select(_ => FakeMachine.NewPage())];
        Events = new EventPorts(this, SharedInfo, cpus);
        StartCpu(0);
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

    /// <summary>The CPU that serves an event just now; -1 for none.</summary>
    public int ServingCpu { get; private set; } = -1;

    /// <summary>A CPU of the domain begins to receive events.</summary>
    public void StartCpu(int cpu)
    {
        Events.SetVcpuInfo(cpu, _vcpuInfos[cpu], XenNumber(cpu));
        Events.TakeOver(cpu);
    }

    /// <summary>Xen's side of the FIFO ABI.</summary>
    public FakeFifo Fifo => _fifo;

    /// <summary>Whether that is offered to a domain that asks for it.</summary>
    public bool OffersFifo { get; set; }

    /// <summary>The port that is given out next.</summary>
    public uint NextPort { get; set; } = 10;

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

        int cpu = _vcpus.GetValueOrDefault(port);
        ulong info = _vcpuInfos[cpu];
        if (Events.UsesFifo)
        {
            if (_fifo.SetPending(port, XenNumber(cpu)))
            {
                PhysicalMemory.Write(info, (byte)1);
            }

            return;
        }

        PhysicalMemory.At<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventPendingOffset + port / 64 * 8) |= 1UL << (int)(port % 64);
        PhysicalMemory.At<ulong>(info + VcpuInfo.PendingSelectorOffset) |= 1UL << (int)(port / 64);
        PhysicalMemory.Write(info, (byte)1);
    }

    /// <summary>The domain was saved and restored: ports, grants and the store's connection are gone.</summary>
    public void Restore()
    {
        _ports.Clear();
        _remotes.Clear();
        _vcpus.Clear();
        _fifo.Clear();
        PhysicalMemory.ZeroFrame(SharedInfo >> Cpu.PageShift);
        foreach (ulong info in _vcpuInfos)
        {
            PhysicalMemory.ZeroFrame(info >> Cpu.PageShift);
        }

        _grants.Lose();
        Events.Reset();
        foreach (FakeBackend backend in Backends)
        {
            backend.Vanish();
        }

        StartCpu(0);
        Store = Store.Migrated();
        ConnectStore();
    }

    public override long Call(uint number, ulong command, Span<byte> argument, ulong count) =>
        number == HypercallNumber.EventChannelOp ? CallEvents((int)command, argument) : _grants.Call(number, command, argument, count);

    public override long CallVcpu(uint command, uint vcpu, Span<byte> argument) => -Errno.ENOSYS;

    /// <summary>Xen's number of a CPU need not be L1's.</summary>
    private static uint XenNumber(int cpu) => (uint)cpu * 2;

    private void ConnectStore()
    {
        uint port = NextPort++;
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
        bool isBusy = false;
        for (int cpu = 0; cpu < _vcpuInfos.Length; cpu++)
        {
            if (PhysicalMemory.Read<byte>(_vcpuInfos[cpu]) != 0)
            {
                ServingCpu = cpu;
                Events.HandleUpcall(cpu);
                ServingCpu = -1;
                isBusy = true;
            }
        }

        return isBusy;
    }

    private long CallEvents(int command, Span<byte> argument)
    {
        if (command == EventChannelOp.AllocateUnbound)
        {
            ref EventChannelAllocateUnbound allocate = ref MemoryMarshal.AsRef<EventChannelAllocateUnbound>(argument);
            allocate.Port = NextPort++;
            _ports.Add(allocate.Port);
            return 0;
        }

        if (command is EventChannelOp.InitializeControl or EventChannelOp.ExpandArray)
        {
            return OffersFifo ? _fifo.Call(command, argument) : -Errno.ENOSYS;
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
                _vcpus.Remove(port);
                _remotes.Remove(port);
                return 0;
            case EventChannelOp.Unmask:
                Unmask(port);
                return 0;
            case EventChannelOp.BindVcpu:
                uint vcpu = MemoryMarshal.Read<EventChannelBindVcpu>(argument).Vcpu;
                _vcpus[port] = Enumerable.Range(0, _vcpuInfos.Length).Single(cpu => XenNumber(cpu) == vcpu);
                return 0;
            default:
                Assert.Fail($"event channel operation {command}");
                return 0;
        }
    }

    private void Unmask(uint port)
    {
        if (Events.UsesFifo)
        {
            if (_fifo.Unmask(port))
            {
                Raise(port);
            }

            return;
        }

        PhysicalMemory.At<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventMaskOffset + port / 64 * 8) &= ~(1UL << (int)(port % 64));
        if ((PhysicalMemory.Read<ulong>(SharedInfo + Abi.Xen.SharedInfo.EventPendingOffset + port / 64 * 8) >> (int)(port % 64) & 1) != 0)
        {
            Raise(port);
        }
    }
}
