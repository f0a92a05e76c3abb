using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>Binding ports (EVTCHNOP_alloc_unbound, bind_*; xen/include/public/event_channel.h). All return 0 or a negative errno.</summary>
public sealed partial class EventChannels
{
    /// <summary>A port that a domain may bind to.</summary>
    /// <param name="remote">The domain that may.</param>
    /// <param name="port">The new port.</param>
    /// <returns>0, -EINVAL when the domain is dying, -ENOSPC, -ENOMEM.</returns>
    public int AllocateUnbound(ushort remote, out uint port)
    {
        _lock.Acquire();
        int error = FindFreePort(out port);
        if (error == 0)
        {
            Bind(port, PortBinding.Unbound(remote), 0);
        }

        _lock.Release();
        return error;
    }

    /// <summary>Connects a new port to an unbound one that another domain (or this one) allocated for this domain.</summary>
    /// <returns>0, -EINVAL when there is no such unbound port, -ENOSPC, -ENOMEM.</returns>
    internal int BindInterdomain(EventChannels remote, uint remotePort, out uint port)
    {
        AcquireTwo(this, remote);
        int error = FindFreePort(out port);
        if (error == 0)
        {
            error = Connect(remote, remotePort, port);
        }

        ReleaseTwo(this, remote);
        return error;
    }

    private int Connect(EventChannels remote, uint remotePort, uint port)
    {
        if (!remote.IsKnown(remotePort) || remote._domain.IsDying
            || !remote._ports[remotePort].TryChange(
                PortBinding.Unbound(_domain.Id), PortBinding.Interdomain(_domain.Id, port)))
        {
            return -Errno.EINVAL;
        }

        Bind(port, PortBinding.Interdomain(remote._domain.Id, remotePort), 0);

        // What was sent to the unbound port is lost; one event makes up for it.
        SetPending(port);
        return 0;
    }

    /// <summary>A port for a virtual interrupt of a vCPU, or of the domain (through vCPU 0).</summary>
    /// <returns>0, -EINVAL, -ENOENT when there is no such vCPU, -EEXIST when it is bound, -ENOSPC, -ENOMEM.</returns>
    internal int BindVirq(uint virq, uint vcpu, out uint port)
    {
        port = 0;
        if (virq >= Virq.Count || (Virq.IsGlobal(virq) && vcpu != 0))
        {
            return -Errno.EINVAL;
        }

        Vcpu? target = FindVcpu(vcpu);
        if (target == null)
        {
            return -Errno.ENOENT;
        }

        _lock.Acquire();
        int error = VirqPort(target.Id, virq) != 0 ? -Errno.EEXIST : FindFreePort(out port);
        if (error == 0)
        {
            Bind(port, PortBinding.OfVirq(virq), target.Id);
            Volatile.Write(ref VirqPort(target.Id, virq), port);
        }

        _lock.Release();
        return error;
    }

    /// <summary>A port that notifies a vCPU of the same domain.</summary>
    /// <returns>0, -ENOENT when there is no such vCPU, -EINVAL, -ENOSPC, -ENOMEM.</returns>
    internal int BindIpi(uint vcpu, out uint port)
    {
        port = 0;
        Vcpu? target = FindVcpu(vcpu);
        if (target == null)
        {
            return -Errno.ENOENT;
        }

        _lock.Acquire();
        int error = FindFreePort(out port);
        if (error == 0)
        {
            Bind(port, PortBinding.Ipi, target.Id);
        }

        _lock.Release();
        return error;
    }

    /// <summary>Chooses the vCPU that a port notifies.</summary>
    /// <returns>0, -ENOENT when there is no such vCPU, -EINVAL for a port that belongs to a vCPU or is not in use.</returns>
    internal int BindVcpu(uint port, uint vcpu)
    {
        Vcpu? target = FindVcpu(vcpu);
        if (target == null)
        {
            return -Errno.ENOENT;
        }

        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        _lock.Acquire();
        ref EventPort entry = ref _ports[port];
        PortBinding binding = entry.Binding;
        bool movable = binding.State switch
        {
            PortState.Unbound or PortState.Interdomain => true,
            PortState.Virq => Virq.IsGlobal(binding.Virq),
            _ => false,
        };
        if (movable)
        {
            Volatile.Write(ref entry.NotifyVcpu, (ushort)target.Id);
        }

        _lock.Release();
        return movable ? 0 : -Errno.EINVAL;
    }

    /// <summary>Chooses the queue that a port's events go into (FIFO ABI).</summary>
    /// <returns>0, -EINVAL for a bad port or priority, -ENOSYS with the two-level ABI, -EACCES for a port that is not in use.</returns>
    internal int SetPriority(uint port, uint priority)
    {
        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        if (!_fifo.IsEnabled)
        {
            return -Errno.ENOSYS;
        }

        ref EventPort entry = ref _ports[port];
        if (entry.Binding.State is PortState.Free or PortState.Reserved)
        {
            return -Errno.EACCES;
        }

        if (priority > EventChannelFifo.LowestPriority)
        {
            return -Errno.EINVAL;
        }

        Volatile.Write(ref entry.Priority, (byte)priority);
        return 0;
    }

    /// <summary>Gives a vCPU its control block; the first one switches the domain to the FIFO ABI.</summary>
    /// <returns>0, -ENOENT when there is no such vCPU, -EINVAL for a bad place or a second control block.</returns>
    internal int InitializeControl(uint vcpu, ulong frame, uint offset)
    {
        Vcpu? target = FindVcpu(vcpu);
        if (target == null)
        {
            return -Errno.ENOENT;
        }

        _lock.Acquire();
        int error = _fifo.SetControlBlock(target, frame, offset);
        _lock.Release();
        return error;
    }

    /// <summary>Adds a page of event words (FIFO ABI).</summary>
    /// <returns>0, -EOPNOTSUPP with the two-level ABI, -ENOSPC, -EINVAL for a frame that is not fit.</returns>
    internal int ExpandArray(ulong frame)
    {
        _lock.Acquire();
        int error = _fifo.AddArrayPage(frame);
        _lock.Release();
        return error;
    }

    /// <summary>What a port is bound to.</summary>
    /// <returns>0, -EINVAL for a port that the domain never had.</returns>
    internal int ReadStatus(uint port, ref EventChannelStatus status)
    {
        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        _lock.Acquire();
        ref EventPort entry = ref _ports[port];
        PortBinding binding = entry.Binding;
        status.Vcpu = entry.NotifyVcpu;
        _lock.Release();
        switch (binding.State)
        {
            case PortState.Unbound:
                status.Status = EventChannelStatus.Unbound;
                status.RemoteDomain = binding.RemoteDomain;
                break;
            case PortState.Interdomain:
                status.Status = EventChannelStatus.Interdomain;
                status.RemoteDomain = binding.RemoteDomain;
                status.RemotePort = binding.RemotePort;
                break;
            case PortState.Virq:
                status.Status = EventChannelStatus.Virq;
                status.Source = binding.Virq;
                break;
            case PortState.Ipi:
                status.Status = EventChannelStatus.Ipi;
                break;
            default:
                status.Status = EventChannelStatus.Closed;
                break;
        }

        return 0;
    }

    private static void AcquireTwo(EventChannels one, EventChannels other)
    {
        if (one == other)
        {
            one._lock.Acquire();
        }
        else if (one._domain.Id < other._domain.Id)
        {
            one._lock.Acquire();
            other._lock.Acquire();
        }
        else
        {
            other._lock.Acquire();
            one._lock.Acquire();
        }
    }

    private static void ReleaseTwo(EventChannels one, EventChannels other)
    {
        one._lock.Release();
        if (one != other)
        {
            other._lock.Release();
        }
    }
}
