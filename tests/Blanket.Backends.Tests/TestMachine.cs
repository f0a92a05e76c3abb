using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends.Tests;

/// <summary>A simulated machine with xenstore, backends, and guests whose grants and ports can be watched.</summary>
internal sealed class TestMachine
{
    private readonly SimulatedHost _host = new();
    private readonly XenStore _store;
    private readonly StoreClient _client;
    private volatile bool _isStopped;

    internal TestMachine(int frames = 2048, int cpus = 1)
    {
        FrameTable.Simulate(frames);
        FrameOwners.Initialize();
        FrameQuarantine.Initialize();
        TlbFlush.Initialize(new NoRemoteTlb());
        int order = 0;
        while (Cpu.PageSize << order < frames * MachineToPhysical.EntrySize)
        {
            order++;
        }

        Assert.True(FrameAllocator.TryAllocate(order, ulong.MaxValue, out ulong table));
        MachineToPhysical.Initialize(table << Cpu.PageShift, (ulong)frames);
        VcpuNotifier.Install(new NoNotifier());
        ServiceChannels.Initialize(64, cpus);
        _store = new XenStore(new StoreSide(), new StoreQuotas(), new StoreCapacity { Memory = 1 << 20, ReservedMemory = 1 << 18 }, 1, 2);
        Assert.Equal(XenStoreError.None, _store.CreateDomain(DomainId.Services, true));
        Assert.Equal(XenStoreError.None, _store.CreateClient(DomainId.Services, 64, out StoreClient? services));
        Assert.Equal(XenStoreError.None, _store.CreateClient(0, 64, out StoreClient? client));
        _client = client!;
        Bus = new BackendBus(_host, services!, 16, cpus);
    }

    internal BackendBus Bus { get; }

    internal Owner Owner { get; } = new();

    internal ulong Now
    {
        get => _host.Time;
        set => _host.Time = value;
    }

    internal ulong WakeTime => _host.WakeTime;

    /// <summary>Whether interrupts, timers or other CPUs wait for whichever CPU asks.</summary>
    internal bool MustGiveWay
    {
        set => _host.MustYield = value;
    }

    /// <summary>The guest to whose vCPU the CPU belongs; null for none.</summary>
    internal Domain? Running
    {
        set => _host.Running = value;
    }

    /// <summary>Who has paid for time in which another had the CPU.</summary>
    internal List<Domain> Payers => _host.Payers;

    internal BackendHost Host => _host;

    internal TestGuest? LastGuest { get; private set; }

    internal TestGuest CreateGuest(ushort id, int vcpus = 1)
    {
        Assert.Equal(XenStoreError.None, _store.CreateDomain(id, false));
        LastGuest = new TestGuest(this, new Domain(id, vcpus));
        return LastGuest;
    }

    internal void ForgetGuest(TestGuest guest)
    {
        _store.Release(guest.Domain.Id);
        Assert.Equal(XenStoreError.None, _store.DestroyDomain(guest.Domain.Id));
    }

    /// <summary>What a CPU does on its exit path, the store left out: safe on several threads.</summary>
    internal void RunExitPath()
    {
        Assert.False(_isStopped, "another CPU has failed");
        ServiceChannels.RunPending();
        if (_host.HasWork)
        {
            _host.HasWork = false;
            Bus.Process();
        }

        if (Bus.TurnDue != BackendBus.Never)
        {
            Bus.TakeTurn();
        }
    }

    /// <summary>Makes <see cref="RunExitPath"/> fail on all CPUs.</summary>
    internal void Stop() => _isStopped = true;

    /// <summary>Lets watches and backends work until nothing is left to do.</summary>
    internal void Settle()
    {
        for (int i = 0; i < 1000; i++)
        {
            ServiceChannels.RunPending();
            bool more = _store.Process(16);
            if (_host.HasWork)
            {
                _host.HasWork = false;
                Bus.Process();
                more = true;
            }

            if (Bus.TurnDue != BackendBus.Never)
            {
                Bus.TakeTurn();
                more = true;
            }

            if (!more)
            {
                return;
            }
        }

        Assert.Fail("the backends do not come to rest");
    }

    internal string? Read(string path)
    {
        byte[] value = new byte[4096];
        return _client.Read(Encoding.ASCII.GetBytes(path), value, out int length) == XenStoreError.None
            ? Encoding.ASCII.GetString(value, 0, length)
            : null;
    }

    internal void Write(string path, string value) =>
        Assert.Equal(XenStoreError.None, _client.Write(Encoding.ASCII.GetBytes(path), Encoding.ASCII.GetBytes(value)));

    internal void Remove(string path) => _client.Remove(Encoding.ASCII.GetBytes(path));

    internal string Permissions(string path)
    {
        StorePermission[] entries = new StorePermission[8];
        if (_client.GetPermissions(Encoding.ASCII.GetBytes(path), entries, out int count) != XenStoreError.None)
        {
            return "";
        }

        StringBuilder text = new();
        for (int i = 0; i < count; i++)
        {
            text.Append("nrwb"[(int)entries[i].Access]).Append(entries[i].Domid).Append(' ');
        }

        return text.ToString().TrimEnd();
    }

    private sealed class SimulatedHost : BackendHost
    {
        internal volatile bool HasWork;
        internal volatile bool MustYield;
        internal ulong Time;
        internal ulong WakeTime = ulong.MaxValue;
        internal Domain? Running;
        private bool _isStoreLocked;

        internal List<Domain> Payers { get; } = [];

        public override ulong Now => Time;

        public override ulong LastKnown => Time;

        public override void WorkArrived() => HasWork = true;

        public override bool MustGiveWay => MustYield;

        public override void WorkPutOff()
        {
        }

        public override void WakeAt(ulong nanoseconds) => WakeTime = nanoseconds;

        public override Domain? Served => ServiceChannels.Served;

        public override bool IsInTimeOfAnother(Domain guest) => Running != null && Running != guest;

        public override void Charge(Domain guest, ulong from, ulong until)
        {
            Assert.True(from <= until);
            Payers.Add(guest);
        }

        public override void LockStore()
        {
            Assert.False(_isStoreLocked);
            _isStoreLocked = true;
        }

        public override void UnlockStore()
        {
            Assert.True(_isStoreLocked);
            _isStoreLocked = false;
        }
    }

    private sealed class NoRemoteTlb : RemoteTlb
    {
        public override void Flush(in CpuSet cpus)
        {
        }
    }

    private sealed class NoNotifier : VcpuNotifier
    {
        protected override void Notify(Vcpu vcpu)
        {
        }
    }

    private sealed class StoreSide : StoreHost
    {
        public override ulong Now => 0;

        public override void WorkArrived()
        {
        }

        public override StoreRing? CreateRing(ushort domid, ulong frame, uint port) => null;

        public override void Print(ReadOnlySpan<byte> text)
        {
        }
    }
}

/// <summary>Remembers which devices are gone.</summary>
internal sealed class Owner : BackendOwner
{
    internal List<BackendDevice> Gone { get; } = new();

    public override void Released(BackendDevice device) => Gone.Add(device);
}
