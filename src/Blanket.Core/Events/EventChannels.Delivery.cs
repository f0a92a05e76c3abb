using System.Numerics;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>Sending and receiving. What senders race with at worst costs the receiver a spurious event, which it must expect anyway.</summary>
public sealed partial class EventChannels
{
    /// <summary>EVTCHNOP_send: notifies the other end of a port.</summary>
    /// <returns>0 (also when nobody is there yet), -EINVAL for a port that cannot send.</returns>
    internal int Send(uint port)
    {
        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        PortBinding binding = _ports[port].Binding;
        switch (binding.State)
        {
            case PortState.Interdomain when binding.RemoteDomain == DomainId.Services:
                ServiceChannels.Raise(binding.RemotePort, _domain, port);
                return 0;
            case PortState.Interdomain:
                FrameOwners.Find(binding.RemoteDomain)?.Events?.Receive(binding.RemotePort, PortBinding.Interdomain(_domain.Id, port));
                return 0;
            case PortState.Ipi:
                SetPending(port);
                return 0;
            case PortState.Unbound:
                return 0;
            default:
                return -Errno.EINVAL;
        }
    }

    /// <summary>An event for a port, if it is still bound as its sender thinks.</summary>
    internal void Receive(uint port, PortBinding expected)
    {
        if (IsKnown(port) && _ports[port].Binding.Raw == expected.Raw)
        {
            SetPending(port);
        }
    }

    /// <summary>Raises a virtual interrupt of a vCPU, or of its domain; nothing happens when the guest has not bound it.</summary>
    /// <param name="vcpu">The vCPU; for a global interrupt any of the domain.</param>
    /// <param name="virq">VIRQ_*.</param>
    public static void RaiseVirq(Vcpu vcpu, uint virq)
    {
        EventChannels? events = vcpu.Domain.Events;
        if (events == null)
        {
            return;
        }

        uint port = Volatile.Read(ref events.VirqPort(Virq.IsGlobal(virq) ? 0 : vcpu.Id, virq));
        if (port != 0)
        {
            events.Receive(port, PortBinding.OfVirq(virq));
        }
    }

    /// <summary>EVTCHNOP_unmask: clears the mask of a port and delivers what came meanwhile.</summary>
    /// <returns>0, -EINVAL for a port that the domain never had.</returns>
    internal int Unmask(uint port)
    {
        if (!IsKnown(port))
        {
            return -Errno.EINVAL;
        }

        if (_ports[port].Binding.State is PortState.Free or PortState.Reserved)
        {
            return 0;
        }

        if (_fifo.IsEnabled)
        {
            _lock.Acquire();
            _fifo.Unmask(port);
            _lock.Release();
        }
        else if (port < EventChannelFifo.TwoLevelPorts && SharedInfoAddress != 0)
        {
            bool wasMasked = AtomicBits.TestAndClear(ref MaskWord(port), (int)port & 63);
            if (wasMasked && IsSet(ref PendingWord(port), port))
            {
                Select(port);
            }
        }

        return 0;
    }

    /// <summary>Whether an event waits on a port, for SCHEDOP_poll.</summary>
    /// <returns>1 or 0; -EINVAL for a port that is not in use.</returns>
    public int IsPending(uint port)
    {
        if (!IsKnown(port) || _ports[port].Binding.State is PortState.Free or PortState.Reserved)
        {
            return -Errno.EINVAL;
        }

        if (_fifo.IsEnabled)
        {
            _lock.Acquire();
            bool pending = _fifo.IsPending(port);
            _lock.Release();
            return pending ? 1 : 0;
        }

        return port < EventChannelFifo.TwoLevelPorts && SharedInfoAddress != 0 && IsSet(ref PendingWord(port), port) ? 1 : 0;
    }

    /// <summary>
    /// A vCPU starts SCHEDOP_poll: from here on, events for <see cref="Scheduling.VcpuSchedule.PolledPort"/> (uint.MaxValue for any
    /// port) notify it even when they are masked. Mark it as blocked first, and ask <see cref="IsPending"/> afterwards.
    /// </summary>
    public void StartPolling(Vcpu vcpu) => Interlocked.Or(ref _pollers, 1UL << vcpu.Id);

    /// <summary>The vCPU does not poll any more.</summary>
    public void StopPolling(Vcpu vcpu) => Interlocked.And(ref _pollers, ~(1UL << vcpu.Id));

    internal void NotifyPollers(uint port)
    {
        ulong pollers = Volatile.Read(ref _pollers);
        while (pollers != 0)
        {
            int id = BitOperations.TrailingZeroCount(pollers);
            pollers &= pollers - 1;
            Vcpu? vcpu = FindVcpu((uint)id);
            if (vcpu == null)
            {
                continue;
            }

            uint polled = Volatile.Read(ref vcpu.Schedule.PolledPort);
            bool waits = polled == port || polled == uint.MaxValue || polled == 0;
            if (waits && AtomicBits.TestAndClear(ref _pollers, id))
            {
                VcpuNotifier.Kick(vcpu);
            }
        }
    }

    private void SetPending(uint port)
    {
        ref EventPort entry = ref _ports[port];
        Vcpu? vcpu = FindVcpu(Volatile.Read(ref entry.NotifyVcpu));
        if (vcpu == null)
        {
            return;
        }

        if (_fifo.IsEnabled)
        {
            _fifo.SetPending(port, vcpu);
        }
        else
        {
            SetPendingTwoLevel(port, vcpu);
        }
    }

    // The order matters: pending, then the mask is looked at, then the selector, then the upcall. Each step is a full barrier.
    private void SetPendingTwoLevel(uint port, Vcpu vcpu)
    {
        if (port >= EventChannelFifo.TwoLevelPorts || SharedInfoAddress == 0
            || AtomicBits.TestAndSet(ref PendingWord(port), (int)port & 63))
        {
            return;
        }

        if (!IsSet(ref MaskWord(port), port))
        {
            vcpu.Info.SelectWord(vcpu, (int)port >> 6);
        }

        NotifyPollers(port);
    }

    private void Select(uint port)
    {
        Vcpu? vcpu = FindVcpu(Volatile.Read(ref _ports[port].NotifyVcpu));
        if (vcpu != null)
        {
            vcpu.Info.SelectWord(vcpu, (int)port >> 6);
        }
    }

    private void ClearPending(uint port)
    {
        if (_fifo.IsEnabled)
        {
            _fifo.ClearPending(port);
        }
        else if (port < EventChannelFifo.TwoLevelPorts && SharedInfoAddress != 0)
        {
            AtomicBits.TestAndClear(ref PendingWord(port), (int)port & 63);
        }
    }

    private ulong SharedInfoAddress => _domain.SharedInfoFrame << Cpu.PageShift;

    private ref ulong PendingWord(uint port) =>
        ref PhysicalMemory.At<ulong>(SharedInfoAddress + SharedInfo.EventPendingOffset + (port >> 6) * sizeof(ulong));

    private ref ulong MaskWord(uint port) =>
        ref PhysicalMemory.At<ulong>(SharedInfoAddress + SharedInfo.EventMaskOffset + (port >> 6) * sizeof(ulong));

    private static bool IsSet(ref ulong word, uint port) => (Volatile.Read(ref word) >> ((int)port & 63) & 1) != 0;
}
