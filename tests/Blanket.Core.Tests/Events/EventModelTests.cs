using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Events;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Events;

/// <summary>
/// Random operations of three guests and of the services, most of them nonsense, beside a model that knows what every port is
/// bound to: results and states agree after each one, and at the end nothing is left.
/// </summary>
public sealed class EventModelTests
{
    [Property(MaxTest = 30)]
    public void EveryOperationDoesWhatTheModelSays(int seed) => new EventModelRun(seed).Run(400);

    [Fact]
    public void NothingIsLeftAfterAThousandLives()
    {
        EventMachine machine = new(256);
        Random random = new(3);
        EventGuest peer = new(machine, 1);
        ulong free = 0;
        for (int life = 0; life < 1000; life++)
        {
            EventGuest guest = new(machine, 2, vcpus: 1, frames: 3);
            uint offered = peer.AllocateUnbound(2);
            Assert.Equal(0, guest.BindInterdomain(1, offered, out _));
            Assert.Equal(0, guest.BindVirq(Virq.Timer, 0, out _));
            if (random.Next(2) == 0)
            {
                Assert.Equal(0, guest.InitializeControl(guest.Guest.Frames[0], 0, 0, out _));
                Assert.Equal(0, guest.ExpandArray(guest.Guest.Frames[1]));
            }

            Assert.Equal(0, ServiceChannels.AllocateUnbound(guest.Domain, out uint port));
            Assert.Equal(0, ServiceChannels.TryBind(guest.Domain, port, new NoHandler(), out ServiceChannel channel));
            guest.Destroy(machine.Machine, random);
            guest.FreeVcpus();
            channel.Close();
            Assert.Equal(0, peer.Close(offered));
            ServiceChannels.RunPending();

            // The first life made the peer's ports and the records of channels, which stay.
            free = life == 0 ? FrameAllocator.FreeFrames : free;
        }

        Assert.Equal(free, FrameAllocator.FreeFrames);
        Assert.Equal(0, ServiceChannels.OpenChannels);
    }

    private sealed class NoHandler : ServiceChannelHandler
    {
        public override void Raised()
        {
        }
    }
}

internal sealed class EventModelRun
{
    private const int Guests = 3;
    private const uint MaximumPort = 30;

    private readonly Random _random;
    private readonly EventMachine _machine = new();
    private readonly EventGuest[] _guests = new EventGuest[Guests];
    private readonly PortModel[][] _ports = new PortModel[Guests][];
    private readonly List<(ServiceChannel Channel, int Guest, uint Port)> _channels = [];

    private readonly record struct PortModel(PortKind Kind, int Remote = 0, uint Peer = 0);

    private enum PortKind
    {
        Free,
        Unbound,
        Interdomain,
        Service,
        Virq,
        Ipi,
    }

    public EventModelRun(int seed)
    {
        _random = new Random(seed);
        for (int i = 0; i < Guests; i++)
        {
            _guests[i] = new EventGuest(_machine, (ushort)(i + 1), vcpus: 2, frames: 6, maximumPort: MaximumPort);
            _ports[i] = new PortModel[MaximumPort + 1];
        }
    }

    public void Run(int operations)
    {
        for (int i = 0; i < operations; i++)
        {
            Step(_random.Next(Guests));
            Compare();
        }

        foreach (EventGuest guest in _guests)
        {
            guest.Destroy(_machine.Machine, _random);
        }

        foreach ((ServiceChannel channel, int _, uint _) in _channels)
        {
            Assert.False(channel.IsConnected);
            channel.Close();
        }

        ServiceChannels.RunPending();
        Assert.Equal(0, ServiceChannels.OpenChannels);
    }

    private static ushort Id(int guest) => (ushort)(guest + 1);

    private uint AnyPort() => (uint)_random.Next((int)MaximumPort + 3);

    private uint FreePort(int guest)
    {
        for (uint port = 1; port <= MaximumPort; port++)
        {
            if (_ports[guest][port].Kind == PortKind.Free)
            {
                return port;
            }
        }

        return 0;
    }

    private PortModel Model(int guest, uint port) => port is > 0 and <= MaximumPort ? _ports[guest][port] : default;

    private void Step(int guest)
    {
        EventGuest caller = _guests[guest];
        int other = _random.Next(Guests);
        uint port = AnyPort();
        switch (_random.Next(12))
        {
            case 0:
                ushort remote = _random.Next(4) == 0 ? DomainId.Services : Id(other);
                Expect(guest, caller.AllocateUnbound(remote, out uint unbound), unbound, new PortModel(PortKind.Unbound, remote));
                break;
            case 1:
                BindInterdomain(guest, other, port);
                break;
            case 2:
                BindVirq(guest, (uint)_random.Next(26), (uint)_random.Next(3));
                break;
            case 3:
                uint vcpu = (uint)_random.Next(3);
                long result = caller.BindIpi(vcpu, out uint ipi);
                if (vcpu == 2)
                {
                    Assert.Equal(-Errno.ENOENT, result);
                }
                else
                {
                    Expect(guest, result, ipi, new PortModel(PortKind.Ipi));
                }

                break;
            case 4 or 5:
                Close(guest, port);
                break;
            case 6 or 7:
                Send(guest, port);
                break;
            case 8:
                BindService(guest, port);
                break;
            case 9:
                CloseService();
                break;
            case 10:
                caller.Unmask(port);
                caller.BindVcpu(port, (uint)_random.Next(3));
                ServiceChannels.RunPending();
                break;
            default:
                if (_random.Next(8) == 0)
                {
                    Assert.Equal(0, caller.Reset());
                    for (uint closed = 1; closed <= MaximumPort; closed++)
                    {
                        ModelClose(guest, closed);
                    }
                }
                else
                {
                    Scribble(caller);
                }

                break;
        }
    }

    private void Expect(int guest, long result, uint port, PortModel bound)
    {
        uint free = FreePort(guest);
        if (free == 0)
        {
            Assert.Equal(-Errno.ENOSPC, result);
            return;
        }

        Assert.Equal(0, result);
        Assert.Equal(free, port);
        _ports[guest][port] = bound;
    }

    private void BindInterdomain(int guest, int other, uint port)
    {
        long result = _guests[guest].BindInterdomain(Id(other), port, out uint local);
        PortModel remote = Model(other, port);
        if (FreePort(guest) == 0)
        {
            Assert.Equal(-Errno.ENOSPC, result);
        }
        else if (remote.Kind != PortKind.Unbound || remote.Remote != Id(guest))
        {
            Assert.Equal(-Errno.EINVAL, result);
        }
        else
        {
            Expect(guest, result, local, new PortModel(PortKind.Interdomain, Id(other), port));
            _ports[other][port] = new PortModel(PortKind.Interdomain, Id(guest), local);
            Assert.Equal(1, _guests[guest].Events.IsPending(local));
        }
    }

    private void BindVirq(int guest, uint virq, uint vcpu)
    {
        long result = _guests[guest].BindVirq(virq, vcpu, out uint port);
        bool isBound = Array.Exists(_ports[guest], p => p.Kind == PortKind.Virq && p.Peer == virq && p.Remote == vcpu);
        if (virq >= Virq.Count || (Virq.IsGlobal(virq) && vcpu != 0))
        {
            Assert.Equal(-Errno.EINVAL, result);
        }
        else if (vcpu > 1)
        {
            Assert.Equal(-Errno.ENOENT, result);
        }
        else if (isBound)
        {
            Assert.Equal(-Errno.EEXIST, result);
        }
        else
        {
            Expect(guest, result, port, new PortModel(PortKind.Virq, (int)vcpu, virq));
        }
    }

    private void Close(int guest, uint port)
    {
        long result = _guests[guest].Close(port);
        Assert.Equal(Model(guest, port).Kind == PortKind.Free ? -Errno.EINVAL : 0, result);
        ModelClose(guest, port);
    }

    private void ModelClose(int guest, uint port)
    {
        PortModel model = Model(guest, port);
        if (model.Kind == PortKind.Free)
        {
            return;
        }

        _ports[guest][port] = default;
        if (model.Kind == PortKind.Interdomain)
        {
            _ports[model.Remote - 1][model.Peer] = new PortModel(PortKind.Unbound, Id(guest));
        }
    }

    private void Send(int guest, uint port)
    {
        PortModel model = Model(guest, port);
        long result = _guests[guest].Send(port);
        bool canSend = model.Kind is PortKind.Unbound or PortKind.Interdomain or PortKind.Service or PortKind.Ipi;
        Assert.Equal(canSend ? 0 : -Errno.EINVAL, result);
        if (model.Kind == PortKind.Interdomain)
        {
            Assert.Equal(1, _guests[model.Remote - 1].Events.IsPending(model.Peer));
        }
    }

    private sealed class NoHandler : ServiceChannelHandler
    {
        public override void Raised()
        {
        }
    }

    private void BindService(int guest, uint port)
    {
        int result = ServiceChannels.TryBind(_guests[guest].Domain, port, new NoHandler(), out ServiceChannel channel);
        PortModel model = Model(guest, port);
        bool waits = model.Kind == PortKind.Unbound && model.Remote == DomainId.Services;
        Assert.Equal(waits ? 0 : -Errno.EINVAL, result);
        if (waits)
        {
            _ports[guest][port] = new PortModel(PortKind.Service);
            _channels.Add((channel, guest, port));
        }
    }

    private void CloseService()
    {
        if (_channels.Count == 0)
        {
            return;
        }

        int index = _random.Next(_channels.Count);
        (ServiceChannel channel, int guest, uint port) = _channels[index];
        bool wasConnected = channel.IsConnected;
        channel.Close();
        _channels.RemoveAt(index);
        if (wasConnected)
        {
            Assert.Equal(PortKind.Service, _ports[guest][port].Kind);
            _ports[guest][port] = new PortModel(PortKind.Unbound, DomainId.Services);
        }
    }

    // A guest may write anything into its own shared page.
    private void Scribble(EventGuest guest)
    {
        Span<byte> page = PhysicalMemory.Frame(guest.Domain.SharedInfoFrame);
        for (int i = 0; i < 64; i++)
        {
            page[_random.Next(page.Length)] = (byte)_random.Next(256);
        }

        page[..SharedInfo.EventPendingOffset].Clear();
        page.Slice(SharedInfo.EventPendingOffset, 1024).Clear();
    }

    private void Compare()
    {
        for (int guest = 0; guest < Guests; guest++)
        {
            int active = 0;
            for (uint port = 1; port <= MaximumPort; port++)
            {
                PortModel model = _ports[guest][port];
                active += model.Kind == PortKind.Free ? 0 : 1;
                EventChannelStatus status = new() { Port = port };
                if (_guests[guest].Events.ReadStatus(port, ref status) != 0)
                {
                    Assert.Equal(PortKind.Free, model.Kind);
                    continue;
                }

                Assert.Equal(ExpectedStatus(model.Kind), status.Status);
                if (model.Kind is PortKind.Interdomain or PortKind.Unbound)
                {
                    Assert.Equal(model.Remote, status.RemoteDomain);
                }

                if (model.Kind == PortKind.Interdomain)
                {
                    Assert.Equal(model.Peer, status.RemotePort);
                }
            }

            Assert.Equal(active, _guests[guest].Events.ActivePorts);
        }
    }

    private static uint ExpectedStatus(PortKind kind) => kind switch
    {
        PortKind.Unbound => EventChannelStatus.Unbound,
        PortKind.Interdomain or PortKind.Service => EventChannelStatus.Interdomain,
        PortKind.Virq => EventChannelStatus.Virq,
        PortKind.Ipi => EventChannelStatus.Ipi,
        _ => EventChannelStatus.Closed,
    };
}
