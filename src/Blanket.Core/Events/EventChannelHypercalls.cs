using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>HYPERVISOR_event_channel_op (xen/include/public/event_channel.h).</summary>
public static class EventChannelHypercalls
{
    /// <summary>Executes one sub-operation.</summary>
    /// <param name="caller">The vCPU that calls.</param>
    /// <param name="arguments">A1: EVTCHNOP_*; A2: guest address of its structure.</param>
    /// <returns>0 or a negative errno; -ENOSYS for an unknown sub-operation.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        EventChannels? events = caller.Domain.Events;
        if (events == null)
        {
            return -Errno.ENOSYS;
        }

        ulong address = arguments.A2;
        switch ((int)arguments.A1)
        {
            case EventChannelOp.Send:
                return GuestMemory.TryRead(address, out uint sendPort) ? events.Send(sendPort) : -Errno.EFAULT;
            case EventChannelOp.Unmask:
                return GuestMemory.TryRead(address, out uint maskedPort) ? events.Unmask(maskedPort) : -Errno.EFAULT;
            case EventChannelOp.Close:
                return GuestMemory.TryRead(address, out uint closedPort) ? events.Close(closedPort) : -Errno.EFAULT;
            case EventChannelOp.AllocateUnbound:
                return AllocateUnbound(caller, address);
            case EventChannelOp.BindInterdomain:
                return BindInterdomain(caller, events, address);
            case EventChannelOp.BindVirq:
                return BindVirq(events, address);
            case EventChannelOp.BindIpi:
                return BindIpi(events, address);
            case EventChannelOp.BindPirq:
                // No domain has access to a physical interrupt, and none has a number for one.
                return GuestMemory.TryRead(address, out EventChannelBindPirq _) ? -Errno.EPERM : -Errno.EFAULT;
            case EventChannelOp.Status:
                return Status(caller, address);
            case EventChannelOp.BindVcpu:
                return GuestMemory.TryRead(address, out EventChannelBindVcpu vcpu)
                    ? events.BindVcpu(vcpu.Port, vcpu.Vcpu) : -Errno.EFAULT;
            case EventChannelOp.SetPriority:
                return GuestMemory.TryRead(address, out EventChannelSetPriority priority)
                    ? events.SetPriority(priority.Port, priority.Priority) : -Errno.EFAULT;
            case EventChannelOp.InitializeControl:
                return InitializeControl(events, address);
            case EventChannelOp.ExpandArray:
                return GuestMemory.TryRead(address, out EventChannelExpandArray array)
                    ? events.ExpandArray(array.ArrayFrame) : -Errno.EFAULT;
            case EventChannelOp.Reset:
            case EventChannelOp.ResetContinuation:
                return Reset(caller, events, ref arguments);
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long AllocateUnbound(Vcpu caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelAllocateUnbound request))
        {
            return -Errno.EFAULT;
        }

        int error = DomainAccess.FindTarget(caller.Domain, request.Domain, out Domain? domain);
        if (error != 0 || domain?.Events == null)
        {
            return error != 0 ? error : -Errno.EPERM;
        }

        ushort remote = request.RemoteDomain == DomainId.Self ? caller.Domain.Id : request.RemoteDomain;
        error = domain.Events.AllocateUnbound(remote, out request.Port);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long BindInterdomain(Vcpu caller, EventChannels events, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelBindInterdomain request))
        {
            return -Errno.EFAULT;
        }

        Domain? remote = DomainAccess.Find(caller.Domain, request.RemoteDomain);
        if (remote == null)
        {
            return -Errno.ESRCH;
        }

        // The built-in services have no ports that a guest could bind to.
        if (remote.Events == null)
        {
            return -Errno.EINVAL;
        }

        int error = events.BindInterdomain(remote.Events, request.RemotePort, out request.LocalPort);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long BindVirq(EventChannels events, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelBindVirq request))
        {
            return -Errno.EFAULT;
        }

        int error = events.BindVirq(request.Virq, request.Vcpu, out request.Port);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long BindIpi(EventChannels events, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelBindIpi request))
        {
            return -Errno.EFAULT;
        }

        int error = events.BindIpi(request.Vcpu, out request.Port);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long Status(Vcpu caller, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelStatus request))
        {
            return -Errno.EFAULT;
        }

        int error = DomainAccess.FindTarget(caller.Domain, request.Domain, out Domain? domain);
        if (error != 0 || domain?.Events == null)
        {
            return error != 0 ? error : -Errno.EPERM;
        }

        error = domain.Events.ReadStatus(request.Port, ref request);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long InitializeControl(EventChannels events, ulong address)
    {
        if (!GuestMemory.TryRead(address, out EventChannelInitializeControl request))
        {
            return -Errno.EFAULT;
        }

        request.LinkBits = EventChannelFifo.LinkBits;
        int error = events.InitializeControl(request.Vcpu, request.ControlFrame, request.Offset);
        return error != 0 ? error : Answer(address, in request);
    }

    private static long Reset(Vcpu caller, EventChannels events, ref HypercallArguments arguments)
    {
        if (!GuestMemory.TryRead(arguments.A2, out EventChannelReset request))
        {
            return -Errno.EFAULT;
        }

        int error = DomainAccess.FindTarget(caller.Domain, request.Domain, out Domain? domain);
        if (error != 0)
        {
            return error;
        }

        // Another domain's only while that is paused by its controller, which no interface can do yet.
        if (domain != caller.Domain)
        {
            return -Errno.EINVAL;
        }

        error = events.Reset((int)arguments.A1 == EventChannelOp.ResetContinuation);
        if (error == -Errno.ERESTART)
        {
            arguments.A1 = EventChannelOp.ResetContinuation;
            return HypercallArguments.Restart;
        }

        return error;
    }

    // The operation stays done when the answer cannot be written: undoing it could not be told either.
    private static long Answer<T>(ulong address, in T request) where T : unmanaged =>
        GuestMemory.TryWrite(address, in request) ? 0 : -Errno.EFAULT;
}
