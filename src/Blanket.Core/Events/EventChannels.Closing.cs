using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;

namespace Blanket.Core.Events;

/// <summary>Closing ports, one (EVTCHNOP_close), all (EVTCHNOP_reset) or for good (teardown of the domain).</summary>
public sealed partial class EventChannels
{
    private const uint PortsBetweenPreemptionChecks = 64;

    /// <summary>Closes a port; the other end becomes unbound, waiting for this domain.</summary>
    /// <returns>0, -EINVAL for a port that is not in use.</returns>
    internal int Close(uint port)
    {
        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        _lock.Acquire();
        PortBinding binding = _ports[port].Binding;
        if (binding.State == PortState.Interdomain && binding.RemoteDomain != DomainId.Services)
        {
            _lock.Release();
            return CloseInterdomain(port, binding);
        }

        int result = binding.State is PortState.Free or PortState.Reserved ? -Errno.EINVAL : 0;
        if (result == 0)
        {
            CloseLocked(port);
        }

        _lock.Release();
        return result;
    }

    private void CloseLocked(uint port)
    {
        ref EventPort entry = ref _ports[port];
        int vcpu = entry.NotifyVcpu;

        // The services connect and disconnect without the lock: only what was there at the exchange counts.
        PortBinding old = Free(port);
        if (old.IsService)
        {
            ServiceChannels.Disconnect(old.RemotePort, _domain, port);
        }
        else if (old.State == PortState.Virq)
        {
            Volatile.Write(ref VirqPort(Virq.IsGlobal(old.Virq) ? 0 : vcpu, old.Virq), 0u);
        }
    }

    private int CloseInterdomain(uint port, PortBinding binding)
    {
        // A connected domain does not vanish: its teardown closes the connection first.
        EventChannels remote = FrameOwners.Find(binding.RemoteDomain)?.Events ?? this;
        AcquireTwo(this, remote);

        // Not connected as before: somebody closed it meanwhile, as if it had never been open.
        int result = _ports[port].Binding.Raw == binding.Raw ? 0 : -Errno.EINVAL;
        if (result == 0)
        {
            Free(port);
            if (remote.IsKnown(binding.RemotePort))
            {
                remote._ports[binding.RemotePort].TryChange(
                    PortBinding.Interdomain(_domain.Id, port), PortBinding.Unbound(_domain.Id));
            }
        }

        ReleaseTwo(this, remote);
        return result;
    }

    /// <summary>Closes every port and goes back to the two-level ABI.</summary>
    /// <param name="resuming">It is the rest of a reset that was preempted.</param>
    /// <returns>0, -EBUSY when another reset is under way, -EAGAIN when ports were opened meanwhile, -ERESTART to be called again.</returns>
    internal int Reset(bool resuming)
    {
        _lock.Acquire();
        uint next = resuming ? _nextToReset : _nextToReset == 0 ? 1u : 0u;
        _nextToReset = _nextToReset < next ? next : _nextToReset;
        _lock.Release();
        if (next == 0)
        {
            return -Errno.EBUSY;
        }

        for (; IsKnown(next) && ActivePorts > 0; next++)
        {
            Close(next);
            if (next % PortsBetweenPreemptionChecks == 0 && Preemption.IsNeeded)
            {
                _lock.Acquire();
                _nextToReset = next + 1;
                _lock.Release();
                return -Errno.ERESTART;
            }
        }

        _lock.Acquire();
        _nextToReset = 0;
        int result = _active > 0 ? -Errno.EAGAIN : 0;
        if (result == 0)
        {
            _fifo.Disable();
        }

        _lock.Release();
        return result;
    }

    /// <summary>
    /// First step of teardown, with <see cref="Domain.IsDying"/> set: closes every port. To be called until it returns true.
    /// </summary>
    public bool TryCloseAll()
    {
        // Whoever was binding a port had seen the domain alive; from here on no port is added.
        _lock.Acquire();
        _lock.Release();
        while (IsKnown(_nextToDestroy))
        {
            uint port = _nextToDestroy;
            Close(port);
            _nextToDestroy++;
            if (port % PortsBetweenPreemptionChecks == 0 && Preemption.IsNeeded)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// Last step of teardown: gives back all frames. Only when every CPU has been at its exit path since
    /// <see cref="TryCloseAll"/> returned true, so that no sender can be at work on them.
    /// </summary>
    public void Release()
    {
        _fifo.Disable();
        foreach (Vcpu? vcpu in _domain.Vcpus)
        {
            if (vcpu != null)
            {
                vcpu.Info.Release(vcpu);
            }
        }

        _ports.Clear();
    }
}
