using System;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Storage;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>
/// The event channels of one domain: its ports and how they are delivered. Binding and closing take the domain's lock
/// (two domains' locks by rising id); sending takes none with the two-level ABI and one of the receiving vCPU's with the FIFO ABI.
/// </summary>
public sealed partial class EventChannels
{
    /// <summary>Highest port of a domain unless its configuration says otherwise (max_event_channels of xl.cfg(5)).</summary>
    public const uint DefaultMaximumPort = 1023;

    private readonly Domain _domain;
    private readonly FrameArray<EventPort> _ports;
    private readonly uint[] _virqPorts;
    private readonly FifoEvents _fifo;
    private readonly uint _maximumPort;
    private SpinLock _lock;
    private uint _firstFree;
    private int _active;
    private uint _nextToReset;
    private uint _nextToDestroy;
    private ulong _pollers;

    internal EventChannels(Domain domain, uint maximumPort)
    {
        _domain = domain;
        _lock = new SpinLock(LockClass.EventChannels, domain.Id);
        _maximumPort = Math.Min(maximumPort, EventChannelFifo.Ports - 1);
        _ports = new FrameArray<EventPort>(_maximumPort + 1);
        _virqPorts = new uint[domain.Vcpus.Length * (int)Virq.Count];
        _fifo = new FifoEvents(domain, this);
    }

    /// <summary>Ports in use.</summary>
    public int ActivePorts => Volatile.Read(ref _active);

    /// <summary>Frames of the hypervisor that it occupies.</summary>
    public int Frames => _ports.Frames;

    /// <summary>Whether the guest has switched to the FIFO ABI.</summary>
    public bool IsFifo => _fifo.IsEnabled;

    /// <summary>As <see cref="FifoEvents.ShareOfPages"/>.</summary>
    internal void ShareOfPages(int sign) => _fifo.ShareOfPages(sign);

    private uint PortLimit => Math.Min(_maximumPort + 1, _fifo.IsEnabled ? EventChannelFifo.Ports : EventChannelFifo.TwoLevelPorts);

    internal uint PortCount => _ports.Count;

    internal ref EventPort Port(uint port) => ref _ports[port];

    private bool IsKnown(uint port) => port < _ports.Count;

    /// <summary>vCPU of a number that a guest gave; null when it has none such.</summary>
    private Vcpu? FindVcpu(uint vcpu) => vcpu < (uint)_domain.Vcpus.Length ? _domain.Vcpus[vcpu] : null;

    /// <summary>Finds the lowest free port, under the lock. It stays free until its binding is set.</summary>
    /// <returns>0, -EINVAL when the domain is dying, -ENOSPC, -ENOMEM.</returns>
    private int FindFreePort(out uint port)
    {
        port = 0;
        if (_domain.IsDying)
        {
            return -Errno.EINVAL;
        }

        uint limit = PortLimit;
        uint lowest = uint.MaxValue;
        for (uint candidate = _firstFree; candidate < limit; candidate++)
        {
            if (!IsKnown(candidate) && !TryAddPorts())
            {
                return -Errno.ENOMEM;
            }

            if (_ports[candidate].Binding.State == PortState.Free)
            {
                lowest = Math.Min(lowest, candidate);
                if (!_fifo.IsLinked(candidate))
                {
                    _firstFree = lowest;
                    port = candidate;
                    return 0;
                }
            }
        }

        _firstFree = Math.Min(lowest, limit);
        return -Errno.ENOSPC;
    }

    private bool TryAddPorts()
    {
        bool first = _ports.Count == 0;
        if (!_ports.TryGrow())
        {
            return false;
        }

        if (first)
        {
            _ports[0].Binding = PortBinding.Reserved;
        }

        return true;
    }

    /// <summary>Puts a free port to use, under the lock.</summary>
    private void Bind(uint port, PortBinding binding, int vcpu)
    {
        ref EventPort entry = ref _ports[port];
        entry.NotifyVcpu = (ushort)vcpu;
        entry.Priority = EventChannelFifo.DefaultPriority;
        entry.PendingWithoutWord = 0;
        entry.Binding = binding;
        Volatile.Write(ref _active, _active + 1);
    }

    /// <summary>Takes a port out of use, under the lock; returns what it was bound to.</summary>
    private PortBinding Free(uint port)
    {
        ref EventPort entry = ref _ports[port];
        PortBinding old = entry.Exchange(PortBinding.Free);
        ClearPending(port);
        entry.NotifyVcpu = 0;
        _firstFree = Math.Min(_firstFree, port);
        Volatile.Write(ref _active, _active - 1);
        return old;
    }

    private ref uint VirqPort(int vcpu, uint virq) => ref _virqPorts[vcpu * (int)Virq.Count + (int)virq];
}
