using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Storage;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>
/// All event channels between guests and the built-in services. A guest's event queues its channel on the CPU where it was
/// sent, once; the exit path of that CPU calls the handlers. Connecting and disconnecting change the guest's port by
/// compare-and-exchange, so services may do it with their own locks held.
/// </summary>
public static class ServiceChannels
{
    private static FrameArray<ServiceChannelRecord>? s_records;
    private static ServiceChannelHandler?[]? s_handlers;
    private static Domain?[]? s_guests;
    private static ServiceQueue?[]? s_queues;
    private static SpinLock s_lock;
    private static uint s_maximum;
    private static uint s_free;
    private static int s_open;

    /// <summary>Starts empty; once at boot, in an allocation scope.</summary>
    /// <param name="maximum">The most channels that are open at once.</param>
    /// <param name="cpus">Number of CPUs.</param>
    public static void Initialize(int maximum, int cpus)
    {
        s_lock = new SpinLock(LockClass.Slab);
        s_records = new FrameArray<ServiceChannelRecord>((uint)maximum);
        s_maximum = (uint)maximum;
        s_handlers = new ServiceChannelHandler?[maximum];
        s_guests = new Domain?[maximum];
        s_queues = new ServiceQueue?[cpus];
        for (int i = 0; i < cpus; i++)
        {
            s_queues[i] = new ServiceQueue();
        }

        s_free = 0;
        s_open = 0;
    }

    /// <summary>Channels that are open.</summary>
    public static int OpenChannels => Volatile.Read(ref s_open);

    /// <summary>A port of a guest that only the services can bind to (xenstore and console ports, as the toolstack makes them).</summary>
    /// <returns>0, -EINVAL when the guest is dying, -ENOSPC, -ENOMEM.</returns>
    public static int AllocateUnbound(Domain guest, out uint port)
    {
        port = 0;
        return guest.Events == null ? -Errno.EINVAL : guest.Events.AllocateUnbound(DomainId.Services, out port);
    }

    /// <summary>Connects to an unbound port of a guest that waits for the services. The handler is called once soon, as after an event.</summary>
    /// <returns>0, -EINVAL when there is no such port, -ENOSPC when too many channels are open.</returns>
    public static int TryBind(Domain guest, uint port, ServiceChannelHandler handler, out ServiceChannel channel)
    {
        channel = default;
        EventChannels? events = guest.Events;
        if (events == null || port >= events.PortCount || guest.IsDying)
        {
            return -Errno.EINVAL;
        }

        if (!TryTakeRecord(out uint index))
        {
            return -Errno.ENOSPC;
        }

        ref ServiceChannelRecord record = ref s_records![index];
        record.Port = port;
        s_handlers![index] = handler;
        Volatile.Write(ref s_guests![index], guest);
        Volatile.Write(ref record.Generation, unchecked(record.Generation + 1));
        if (!events.Port(port).TryChange(PortBinding.Unbound(DomainId.Services), PortBinding.Interdomain(DomainId.Services, index)))
        {
            Close(index, record.Generation);
            return -Errno.EINVAL;
        }

        channel = new ServiceChannel(index, record.Generation);

        // What the guest sent while the port was unbound is lost; one event makes up for it.
        Queue(index);
        return 0;
    }

    /// <summary>Calls the handlers of the channels that guests have raised on this CPU; the exit path does it before a guest goes on.</summary>
    public static void RunPending()
    {
        ServiceQueue queue = CurrentQueue();
        if (queue.Running != 0)
        {
            // Its handler was abandoned half-way.
            Finish(queue.Running - 1);
            queue.Running = 0;
        }

        uint last = queue.Tail;
        while (last != 0 && queue.TryDequeue(s_records!, out uint index))
        {
            Run(queue, index);
            if (index + 1 == last)
            {
                break;
            }
        }

        if (!queue.IsEmpty)
        {
            PendingWork.Raise();
        }
    }

    /// <summary>The guest whose event the services work on, on this CPU; null while they do nothing for one guest alone.</summary>
    public static Domain? Served
    {
        get
        {
            uint running = s_queues == null ? 0 : CurrentQueue().Running;
            return running == 0 ? null : Volatile.Read(ref s_guests![running - 1]);
        }
    }

    /// <summary>A guest has sent an event through its port to a channel.</summary>
    internal static void Raise(uint index, Domain guest, uint port)
    {
        if (index < s_maximum && Volatile.Read(ref s_guests![index]) == guest && s_records![index].Port == port)
        {
            Queue(index);
        }
    }

    /// <summary>A guest has closed its port, under its lock.</summary>
    internal static void Disconnect(uint index, Domain guest, uint port)
    {
        s_lock.Acquire();
        if (s_guests![index] == guest && s_records![index].Port == port)
        {
            Volatile.Write(ref s_guests[index], null);
        }

        s_lock.Release();
    }

    internal static bool IsConnected(uint index, uint generation) => Guest(index, generation) != null;

    internal static uint GuestPort(uint index, uint generation) =>
        Guest(index, generation) != null ? s_records![index].Port : 0;

    internal static void Notify(uint index, uint generation) =>
        Guest(index, generation)?.Events?.Receive(s_records![index].Port, PortBinding.Interdomain(DomainId.Services, index));

    internal static void Close(uint index, uint generation)
    {
        if (!IsOpen(index, generation))
        {
            return;
        }

        s_lock.Acquire();
        ref ServiceChannelRecord record = ref s_records![index];
        bool closing = record.Generation == generation;
        if (closing)
        {
            Volatile.Write(ref record.Generation, unchecked(generation + 1));
            Volatile.Write(ref s_open, s_open - 1);
            Volatile.Write(ref s_handlers![index], null);
            Domain? guest = s_guests![index];
            Volatile.Write(ref s_guests[index], null);

            // Before anybody can use the record again.
            if (guest?.Events != null)
            {
                guest.Events.Port(record.Port).TryChange(
                    PortBinding.Interdomain(DomainId.Services, index), PortBinding.Unbound(DomainId.Services));
            }
        }

        s_lock.Release();
        if (closing)
        {
            FreeIfIdle(index);
        }
    }

    private static bool IsOpen(uint index, uint generation) =>
        (generation & 1) != 0 && index < s_maximum && Volatile.Read(ref s_records![index].Generation) == generation;

    private static Domain? Guest(uint index, uint generation)
    {
        if (!IsOpen(index, generation))
        {
            return null;
        }

        Domain? guest = Volatile.Read(ref s_guests![index]);
        return IsOpen(index, generation) ? guest : null;
    }

    private static bool TryTakeRecord(out uint index)
    {
        s_lock.Acquire();
        if (s_free == 0)
        {
            AddRecords();
        }

        bool found = s_free != 0;
        index = found ? s_free - 1 : 0;
        if (found)
        {
            ref ServiceChannelRecord record = ref s_records![index];
            s_free = record.Next;
            record.Next = 0;
            Volatile.Write(ref record.State, ServiceChannelRecord.Idle);
            Volatile.Write(ref s_open, s_open + 1);
        }

        s_lock.Release();
        return found;
    }

    private static void AddRecords()
    {
        uint first = s_records!.Count;
        if (first >= s_maximum || !s_records.TryGrow())
        {
            return;
        }

        uint end = System.Math.Min(s_records.Count, s_maximum);
        for (uint index = end; index-- > first;)
        {
            ref ServiceChannelRecord record = ref s_records[index];
            record.State = ServiceChannelRecord.Free;
            record.Next = s_free;
            s_free = index + 1;
        }
    }

    private static void Queue(uint index)
    {
        ref int state = ref s_records![index].State;
        if (Interlocked.CompareExchange(ref state, ServiceChannelRecord.Queued, ServiceChannelRecord.Idle) == ServiceChannelRecord.Idle)
        {
            CurrentQueue().Enqueue(s_records, index);
            PendingWork.Raise();
        }
        else
        {
            Interlocked.CompareExchange(ref state, ServiceChannelRecord.RunningAgain, ServiceChannelRecord.Running);
        }
    }

    private static void Run(ServiceQueue queue, uint index)
    {
        Volatile.Write(ref s_records![index].State, ServiceChannelRecord.Running);
        Interlocked.MemoryBarrier();
        ServiceChannelHandler? handler = Volatile.Read(ref s_handlers![index]);
        if (handler != null)
        {
            queue.Running = index + 1;
            handler.Raised();
            queue.Running = 0;
        }

        Finish(index);
    }

    private static void Finish(uint index)
    {
        ref int state = ref s_records![index].State;
        if (Interlocked.CompareExchange(ref state, ServiceChannelRecord.Idle, ServiceChannelRecord.Running) == ServiceChannelRecord.Running)
        {
            if ((Volatile.Read(ref s_records[index].Generation) & 1) == 0)
            {
                FreeIfIdle(index);
            }

            return;
        }

        Volatile.Write(ref state, ServiceChannelRecord.Queued);
        CurrentQueue().Enqueue(s_records, index);
    }

    // Of the closer and the CPU that ran the handler, whoever comes second frees the record.
    private static void FreeIfIdle(uint index)
    {
        ref ServiceChannelRecord record = ref s_records![index];
        if (Interlocked.CompareExchange(ref record.State, ServiceChannelRecord.Free, ServiceChannelRecord.Idle) != ServiceChannelRecord.Idle)
        {
            return;
        }

        s_lock.Acquire();
        record.Next = s_free;
        s_free = index + 1;
        s_lock.Release();
    }

    private static ServiceQueue CurrentQueue() => s_queues![Cpu.Number]!;
}
